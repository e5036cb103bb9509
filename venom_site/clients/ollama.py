"""The wire to an Ollama server: its native API, in its own words.

Used by `runtime_app/runtimes/ollama.py`. Reads have 2 s in all and are not retried
(the health check asks again by itself); loading and the first token may take minutes.
Facts about the answers: versions before 0.30 leave `capabilities` out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from venom_site.lib import http
from venom_site.lib.errors import WireError

READ_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """An installed model of `/api/tags`."""

    name: str
    size_bytes: int | None
    digest: str
    family: str
    parameter_size: str
    quantization: str
    is_remote: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in memory, from `/api/ps`."""

    name: str
    size_bytes: int | None
    size_vram_bytes: int | None
    expires_at: str
    context_length: int | None


class OllamaClient:
    """One server; kept between checks, safe to use from several threads."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._wire = http.client(base_url, read_seconds=READ_SECONDS)

    def close(self) -> None:
        self._wire.close()

    def version(self) -> str:
        return _text(_mapping(self._get("/api/version")), "version")

    def tags(self) -> list[ListedModel]:
        return [_listed(entry) for entry in _entries(self._get("/api/tags"))]

    def loaded(self) -> list[LoadedModel]:
        return [_loaded(entry) for entry in _entries(self._get("/api/ps"))]

    def load(
        self,
        model: str,
        *,
        keep_alive: str,
        seconds: float,
        check: Callable[[], None],
    ) -> None:
        """Bring the model into memory: a chat without messages."""
        self._chat(model, [], keep_alive=keep_alive, seconds=seconds, check=check)

    def chat_one_token(
        self,
        model: str,
        *,
        keep_alive: str,
        seconds: float,
        check: Callable[[], None],
    ) -> str:
        """The name that answered with one real token; raises when none came.

        `think` stays unset: a first token of thought is a token as well.
        """
        asked = [{"role": "user", "content": "Hi"}]
        answer = self._chat(
            model, asked, keep_alive=keep_alive, seconds=seconds, check=check
        )
        message = _mapping(answer.get("message", {}))
        said = message.get("content") or message.get("thinking")
        if not said and not answer.get("eval_count"):
            raise WireError("It answered, but without a single token.")
        return _text(answer, "model")

    def _chat(
        self,
        model: str,
        messages: list[dict[str, str]],
        *,
        keep_alive: str,
        seconds: float,
        check: Callable[[], None],
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": messages, "stream": False}
        if messages:
            body["options"] = {"num_predict": 1}
        if keep_alive:
            body["keep_alive"] = keep_alive
        answer = http.ask_patiently(
            self._base_url, "/api/chat", body, seconds=seconds, check=check
        )
        return _mapping(answer)

    def _get(self, path: str) -> Any:
        return http.ask(self._wire, "GET", path, total_seconds=READ_SECONDS)


def _mapping(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise WireError("This does not answer as an Ollama server does.")
    if isinstance(answer.get("error"), str):  # also in a body with status 200
        raise WireError(http.quoted_error(answer)[: http.LONGEST_QUOTE])
    return answer


def _entries(answer: Any) -> list[dict[str, Any]]:
    entries = _mapping(answer).get("models") or []
    if not isinstance(entries, list):
        raise WireError("This does not answer as an Ollama server does.")
    return [entry for entry in entries if isinstance(entry, dict)]


def _text(entry: dict[str, Any], field: str) -> str:
    value = entry.get(field)
    return value if isinstance(value, str) else ""


def _number(entry: dict[str, Any], field: str) -> int | None:
    value = entry.get(field)
    return value if isinstance(value, int) else None


def _listed(entry: dict[str, Any]) -> ListedModel:
    details = entry.get("details")
    details = details if isinstance(details, dict) else {}
    return ListedModel(
        name=_text(entry, "model") or _text(entry, "name"),
        size_bytes=_number(entry, "size"),
        digest=_text(entry, "digest"),
        family=_text(details, "family"),
        parameter_size=_text(details, "parameter_size"),
        quantization=_text(details, "quantization_level"),
        is_remote=bool(entry.get("remote_host")),
    )


def _loaded(entry: dict[str, Any]) -> LoadedModel:
    return LoadedModel(
        name=_text(entry, "model") or _text(entry, "name"),
        size_bytes=_number(entry, "size"),
        size_vram_bytes=_number(entry, "size_vram"),
        expires_at=_text(entry, "expires_at"),
        context_length=_number(entry, "context_length"),
    )
