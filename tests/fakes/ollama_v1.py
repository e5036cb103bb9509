"""The OpenAI-compatible side of the practice Ollama, under /v1.

What it ignores, the real one ignores too (keep_alive, options, tool_choice, n,
max_completion_tokens).
"""

import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.fakes.faults import Fault
from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_state import OllamaState
from tests.fakes.ollama_wire import (
    field_of,
    json_answer,
    read_body,
    v1_error,
    words_of,
)
from tests.fakes.openai_shapes import (
    DONE,
    EVENT_STREAM,
    as_json,
    called,
    embedding_rows,
    embedding_usage,
    event,
    prompt_in,
    said_in,
    usage,
    wants_json,
    wants_usage,
)
from tests.fakes.streams import LineStream
from tests.fakes.tool_calls import calls_for
from tests.fakes.words import Answer, answer

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max")


class OpenAISide:
    """Handlers over one state, named after their endpoints."""

    def __init__(self, state: OllamaState) -> None:
        self.state = state

    async def models(self, request: web.Request) -> web.Response:
        rows = [_row(model) for model in self.state.newest_first()]
        return json_answer({"object": "list", "data": rows or None})

    async def model(self, request: web.Request) -> web.Response:
        return json_answer(_row(self.state.find(request.match_info["name"])))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        messages = field_of(body, "messages", list, [])
        if not messages:
            raise Refusal(400, "[] is too short - 'messages'")
        model = self._find(body, "chat")
        thinks = _thinks(model, body)
        return await self._run(request, body, _Chat(body), said_in(messages), thinks)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self._find(body, "generate")
        return await self._run(request, body, _Text(body), prompt_in(body), False)

    async def embeddings(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        model = self.state.find(field_of(body, "model", str, ""))
        async with self.state.in_use(model, None):
            return json_answer(
                {
                    "object": "list",
                    "data": embedding_rows(body),
                    "model": body["model"],
                    "usage": embedding_usage(body),
                }
            )

    def _find(self, body: dict[str, Any], verb: str) -> PracticeModel:
        model = self.state.find(field_of(body, "model", str, ""))
        self.state.refuse_what_it_cannot(model, body, verb)
        return model

    async def _run(
        self,
        request: web.Request,
        body: dict[str, Any],
        shape: "_Chat",
        prompt: str,
        thinks: bool,
    ) -> web.StreamResponse:
        limit = field_of(body, "max_tokens", int, None)
        length = self.state.answer_tokens
        said = answer(prompt, limit=limit, length=length, thinks=thinks)
        if calls := calls_for(body, prompt):
            said = called(said, calls)
        elif wants_json(body):
            said = as_json(said)
        model = self.state.find(body["model"])
        async with self.state.in_use(model, None):
            if body.get("stream"):
                return await self._stream(request, body, shape, said)
            await self.state.pace(said.completion_tokens)
            return json_answer(shape.whole(said))

    async def _stream(
        self, request: web.Request, body: dict[str, Any], shape: "_Chat", said: Answer
    ) -> web.StreamResponse:
        stream = LineStream(request, EVENT_STREAM, _error_event)
        for place, chunk in enumerate(shape.chunks(said)):
            await self.state.pace()
            if not place:
                shape.start(chunk)
                await stream.open()
            await stream.send_token(event(chunk))
        last = [event(shape.finish(said.finish_reason))]
        if wants_usage(body):
            last.append(
                event({**shape.chunk_head, "choices": [], "usage": usage(said)})
            )
        return await stream.end(*last, DONE)


class _Chat:
    """The shapes of one chat answer, whole and in chunks."""

    prefix = "chatcmpl"
    whole_object, chunk_object = "chat.completion", "chat.completion.chunk"

    def __init__(self, body: dict[str, Any]) -> None:
        now = time.time_ns()
        self.head = {
            "id": f"{self.prefix}-{now // 1000 % 999}",
            "object": self.whole_object,
            "created": now // 10**9,
            "model": body["model"],
            "system_fingerprint": "fp_ollama",
        }
        self.chunk_head = {**self.head, "object": self.chunk_object}

    def whole(self, said: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.thinking:
            message["reasoning"] = "".join(said.thinking)
        if said.calls:
            message["tool_calls"] = _calls(said)
        return self._whole({"message": message}, said)

    def chunks(self, said: Answer) -> Iterator[dict[str, Any]]:
        """One a token, made as it is sent: a long answer costs nothing beforehand."""
        for word in said.thinking:
            yield self.chunk(word, is_thought=True)
        for word in said.tokens:
            yield self.chunk(word, is_thought=False)
        if said.calls:
            yield self.chunk_of_calls(said)

    def chunk(self, word: str, *, is_thought: bool) -> dict[str, Any]:
        delta = {"content": "", "reasoning": word} if is_thought else {"content": word}
        return self._chunk({"delta": delta}, None)

    def chunk_of_calls(self, said: Answer) -> dict[str, Any]:
        return self._chunk({"delta": {"content": "", "tool_calls": _calls(said)}}, None)

    def start(self, first: dict[str, Any]) -> None:
        """Only the first chunk names the role."""
        choice = first["choices"][0]
        choice["delta"] = {"role": "assistant", **choice["delta"]}

    def finish(self, reason: str) -> dict[str, Any]:
        return self._chunk({"delta": {}}, reason)

    def _whole(self, content: dict[str, Any], said: Answer) -> dict[str, Any]:
        choice = {"index": 0, **content, "finish_reason": said.finish_reason}
        return {**self.head, "choices": [choice], "usage": usage(said)}

    def _chunk(self, content: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, **content, "finish_reason": reason}
        return {**self.chunk_head, "choices": [choice]}


class _Text(_Chat):
    """The same for a plain completion, whose chunks bear the same object name."""

    prefix = "cmpl"
    whole_object = chunk_object = "text_completion"

    def whole(self, said: Answer) -> dict[str, Any]:
        return self._whole({"text": said.text}, said)

    def chunk(self, word: str, *, is_thought: bool) -> dict[str, Any]:
        return self._chunk({"text": word}, None)

    def start(self, first: dict[str, Any]) -> None:
        """No chunk of these has a role."""

    def finish(self, reason: str) -> dict[str, Any]:
        return self._chunk({"text": ""}, reason)


def _calls(said: Answer) -> list[dict[str, Any]]:
    return [call.openai(place) for place, call in enumerate(said.calls)]


def _error_event(fault: Fault) -> bytes:
    return event(v1_error(Refusal(500, words_of(fault))))


def _row(model: PracticeModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": "library",
    }


def _thinks(model: PracticeModel, body: dict[str, Any]) -> bool:
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise Refusal(400, f"invalid reasoning value: '{effort}'")
    return "thinking" in model.capabilities and effort != "none"
