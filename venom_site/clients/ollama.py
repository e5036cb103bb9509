"""The wire to an Ollama server: its native API, in its own words.

Used by `runtime_app/runtimes/ollama.py` and `models_app/providers/ollama.py`. Answers
are read by `ollama_answers.py`. Nothing is retried here. An `error` in a body or a
line is a failure whatever the status: a pull begins with 200 before anything is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from venom_site.clients.ollama_answers import (
    Answer,
    ListedModel,
    LoadedModel,
    PullLine,
    PullLines,
    ShownModel,
    answer_of,
    entries_of,
    listed,
    loaded,
    mapping,
    shown,
    text_of,
)
from venom_site.lib import http, http_patient
from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import Unsupported

READ_SECONDS = 2
SHOW_SECONDS = 10  # reads the head of the model's file, from a disk that may sleep
KEEP_SECONDS = 10  # nothing to load: it answers at once
DELETE_SECONDS = 30  # many large files on a slow disk


class _Limits(TypedDict):
    keep_alive: str | int
    seconds: float
    check: Callable[[], None]


class OllamaClient:
    """One server; kept between checks, safe to use from several threads."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._wire = http.client(base_url)

    def close(self) -> None:
        self._wire.close()

    def version(self) -> str:
        return text_of(mapping(self._get("/api/version")), "version")

    def tags(self) -> list[ListedModel]:
        return [listed(entry) for entry in entries_of(self._get("/api/tags"))]

    def loaded(self) -> list[LoadedModel]:
        return [loaded(entry) for entry in entries_of(self._get("/api/ps"))]

    def show(self, model: str) -> ShownModel:
        answer = http.ask(
            self._wire,
            "POST",
            "/api/show",
            body={"model": model},
            total_seconds=SHOW_SECONDS,
        )
        return shown(mapping(answer))

    def delete(self, model: str) -> bool:
        """Whether there was something to delete. Memory is not freed by it."""
        try:
            answer = http.ask(
                self._wire,
                "DELETE",
                "/api/delete",
                body={"model": model},
                total_seconds=DELETE_SECONDS,
            )
        except Unsupported:
            raise
        except WireError as error:
            if error.status != 404:
                raise
            return False
        if answer is not None:
            mapping(answer)
        return True

    def pull(
        self,
        model: str,
        *,
        on_line: Callable[[PullLine], None],
        check: Callable[[], None],
        idle_seconds: float = 90,
    ) -> None:
        """Bring the model into the server's store, going on where it was left.

        Layers come one after another; small ones without a line of their own, large
        ones perhaps without a last one. When `check` raises the connection is closed,
        and the server ends the download unless somebody else waits for it too. It
        retries silent parts itself after 30 s, hence the idle limit.
        """
        pulled = PullLines(on_line)
        http_patient.follow_lines(
            self._base_url,
            "/api/pull",
            {"model": model, "stream": True},
            on_line=pulled.take,
            check=check,
            idle_seconds=idle_seconds,
        )
        if not pulled.is_complete:
            raise WireError("The pull ended before the server said success.")

    def load(
        self,
        model: str,
        *,
        keep_alive: str | int,
        seconds: float,
        check: Callable[[], None],
    ) -> None:
        """Bring the model into memory: a chat without messages. One that only embeds
        is refused there, so it embeds a word."""
        limits: _Limits = {"keep_alive": keep_alive, "seconds": seconds, "check": check}
        try:
            self.chat(model, [], **limits)
        except WireError as error:
            if not _cannot_chat(error):
                raise
            self._answer("/api/embed", {"model": model, "input": "Hi"}, **limits)

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
        answer = self.chat(
            model,
            [{"role": "user", "content": "Hi"}],
            keep_alive=keep_alive,
            seconds=seconds,
            check=check,
            options={"num_predict": 1},
        )
        if not (answer.text or answer.thinking or answer.output_tokens):
            raise WireError("It answered, but without a single token.")
        return answer.model

    def keep(self, model: str, *, keep_alive: str | int) -> None:
        """How long it stays in memory from now: 0 frees it as soon as its running
        requests have ended, negative means for ever, empty the server's own default.

        Loads the model when it is not in memory, except with 0. Memory is freed after
        the answer, so who needs to know asks `loaded()`.
        """
        self.load(model, keep_alive=keep_alive, seconds=KEEP_SECONDS, check=_go_on)

    def chat(
        self,
        model: str,
        messages: list[dict[str, str]],
        *,
        seconds: float,
        check: Callable[[], None],
        keep_alive: str | int = "",
        options: dict[str, Any] | None = None,
    ) -> Answer:
        """One whole answer to a conversation; without messages it only loads."""
        answer = self._answer(
            "/api/chat",
            {"model": model, "messages": messages, "stream": False},
            seconds=seconds,
            check=check,
            keep_alive=keep_alive,
            options=options,
        )
        message = answer.get("message")
        message = message if isinstance(message, dict) else {}
        return answer_of(answer, text_of(message, "content"), message)

    def _answer(
        self,
        path: str,
        body: dict[str, Any],
        *,
        seconds: float,
        check: Callable[[], None],
        keep_alive: str | int,
        options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        if options:
            body["options"] = options
        if keep_alive != "":
            body["keep_alive"] = keep_alive
        answer = http_patient.ask_patiently(
            self._base_url, path, body, seconds=seconds, check=check
        )
        return mapping(answer)

    def _get(self, path: str) -> Any:
        return http.ask(self._wire, "GET", path, total_seconds=READ_SECONDS)


def _cannot_chat(error: WireError) -> bool:
    return error.status == 400 and "does not support chat" in str(error)


def _go_on() -> None:
    """Nothing could ask for an end of what takes a moment."""
