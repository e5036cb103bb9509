"""The wire to an OpenAI-compatible server: vLLM, llama-server, LM Studio and others.

Used by `runtime_app/runtimes/openai_compatible.py`. Reads have 2 s in all and are not
retried; the first token may take minutes. While llama-server loads it answers 503 on
every path (`StillLoading`), where vLLM refuses the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from venom_site.lib import http, http_patient
from venom_site.lib.errors import WireError

READ_SECONDS = 2
_NOT_ONE = "This does not answer as an OpenAI-compatible server does."


class StillLoading(WireError):
    """It is there and reads its model; asking again helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """An entry of `/v1/models`; vLLM and llama-server say more than the id."""

    name: str
    root: str
    size_bytes: int | None
    parameter_count: int | None
    quantization: str
    context_length: int | None


class OpenAICompatibleClient:
    """One server at an address that ends in `/v1`; kept between checks."""

    def __init__(self, base_url: str, key: str = "") -> None:
        self._base_url = base_url
        self._key = key
        self._wire = http.client(base_url, key=key)

    def close(self) -> None:
        self._wire.close()

    def models(self) -> list[ServedModel]:
        answer = self._get(f"{self._base_url}/models")
        if not isinstance(answer, dict) or "data" not in answer:
            raise WireError(_NOT_ONE)
        entries = answer["data"]  # null where a server has no model (Ollama's /v1)
        entries = entries if isinstance(entries, list) else []
        return [_served(entry) for entry in entries if _has_id(entry)]

    def version(self) -> str:
        """What vLLM says at `/version`, outside `/v1`; empty where there is none."""
        try:
            answer = self._get(f"{self._base_url.removesuffix('/v1')}/version")
        except StillLoading:
            raise
        except WireError as error:
            if error.status is None:
                raise
            return ""
        version = answer.get("version") if isinstance(answer, dict) else None
        return version if isinstance(version, str) else ""

    def one_token(
        self, model: str, *, seconds: float, check: Callable[[], None]
    ) -> str:
        """The name that answered with one real token; raises when none came."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 1,
            "stream": False,
        }
        answer = http_patient.ask_patiently(
            self._base_url,
            f"{self._base_url}/chat/completions",
            body,
            seconds=seconds,
            check=check,
            key=self._key,
        )
        return _answering_name(answer)

    def _get(self, url: str) -> Any:
        try:
            return http.ask(self._wire, "GET", url, total_seconds=READ_SECONDS)
        except WireError as error:
            if error.status == 503 and "loading model" in str(error).lower():
                raise StillLoading(str(error), status=503) from error
            raise


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), str)


def _served(entry: dict[str, Any]) -> ServedModel:
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    root = entry.get("root")
    quantization = meta.get("ftype")
    return ServedModel(
        name=entry["id"],
        root=root if isinstance(root, str) else "",
        size_bytes=_number(meta.get("size")),
        parameter_count=_number(meta.get("n_params")),
        quantization=quantization if isinstance(quantization, str) else "",
        context_length=_number(entry.get("max_model_len"))
        or _number(meta.get("n_ctx")),
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _answering_name(answer: Any) -> str:
    """A token was made when the usage says so or a choice carries any text."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        raise WireError(_NOT_ONE)
    usage = answer.get("usage")
    counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not counted and not any(_has_text(choice) for choice in answer["choices"]):
        raise WireError("It answered, but without a single token.")
    model = answer.get("model")
    return model if isinstance(model, str) else ""


def _has_text(choice: Any) -> bool:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return False
    names = ("content", "reasoning", "reasoning_content", "tool_calls")
    return any(message.get(name) for name in names)
