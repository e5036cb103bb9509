"""Chat, generate and embed of the practice Ollama, on its own API.

NDJSON unless `"stream": false`; an empty prompt loads, and unloads with
`keep_alive: 0`. Facts sheet, sections 5 and 6.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_answers import (
    Clock,
    Piece,
    answer_line,
    chat_piece,
    generate_piece,
    last_line,
    options_of,
    wants_thinking,
)
from tests.fakes.ollama_keep_alive import parse_keep_alive
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_state import OllamaState
from tests.fakes.ollama_wire import error_line, field_of, json_answer, ndjson, read_body
from tests.fakes.openai_shapes import inputs_in, said_in
from tests.fakes.streams import LineStream
from tests.fakes.tool_calls import calls_for
from tests.fakes.words import Answer, answer, count_tokens, embedding


class Generator:
    """Handlers over one state, named after their endpoints."""

    def __init__(self, state: OllamaState) -> None:
        self.state = state

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        model = self._find(required_model(body))
        messages = field_of(body, "messages", list, [])
        if not messages:
            return await self._load(model, body, chat_piece)
        self.state.refuse_what_it_cannot(model, body, "chat")
        return await self._run(request, body, model, said_in(messages), chat_piece)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        model = self._find(field_of(body, "model", str, ""))
        prompt = field_of(body, "prompt", str, "")
        if not prompt:
            return await self._load(model, body, generate_piece)
        self.state.refuse_what_it_cannot(model, body, "generate")
        return await self._run(request, body, model, prompt, generate_piece)

    async def embed(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        model = self._find(field_of(body, "model", str, ""))
        began = time.perf_counter_ns()
        async with self.state.in_use(model, parse_keep_alive(body.get("keep_alive"))):
            loaded = time.perf_counter_ns()
            texts = inputs_in(body)
            return json_answer(
                {
                    "model": body["model"],
                    "embeddings": [embedding(text) for text in texts],
                    "total_duration": time.perf_counter_ns() - began,
                    "load_duration": loaded - began,
                    "prompt_eval_count": sum(map(count_tokens, texts)),
                }
            )

    def _find(self, name: str) -> PracticeModel:
        model = self.state.find(name)
        if model.remote_host:
            raise Refusal(401, "unauthorized")
        return model

    async def _load(
        self, model: PracticeModel, body: dict[str, Any], piece: Piece
    ) -> web.Response:
        keep_alive = parse_keep_alive(body.get("keep_alive"))
        reason = "unload" if keep_alive == timedelta(0) else "load"
        if reason == "unload":
            self.state.unload(model)  # at once; memory is freed a little later
        else:
            verb = "chat" if piece is chat_piece else "generate"
            self.state.refuse_what_it_cannot(model, body, verb)
            async with self.state.in_use(model, keep_alive, options_of(body)[0]):
                pass
        line = answer_line(body["model"], piece("", "", ()), done=True)
        return json_answer({**line, "done_reason": reason})

    async def _run(
        self,
        request: web.Request,
        body: dict[str, Any],
        model: PracticeModel,
        prompt: str,
        piece: Piece,
    ) -> web.StreamResponse:
        context, limit = options_of(body)
        thinks = wants_thinking(model, body)
        keep_alive = parse_keep_alive(body.get("keep_alive"))
        length = self.state.answer_tokens
        said = answer(prompt, limit=limit, length=length, thinks=thinks)
        if piece is chat_piece and (calls := calls_for(body, prompt)):
            said = replace(said, tokens=(), calls=calls, finish_reason="stop")
        clock = Clock(time.perf_counter_ns())
        async with self.state.in_use(model, keep_alive, context):
            clock.loaded = time.perf_counter_ns()
            if body.get("stream", True):
                return await self._stream(request, body["model"], said, clock, piece)
            await self.state.pace()
            clock.first_token = time.perf_counter_ns()
            await self.state.pace(said.completion_tokens - 1)
            content = piece(said.text, "".join(said.thinking), said.calls)
            return json_answer(last_line(body["model"], content, said, clock))

    async def _stream(
        self, request: web.Request, name: str, said: Answer, clock: Clock, piece: Piece
    ) -> web.StreamResponse:
        stream = LineStream(request, "application/x-ndjson", error_line)
        for content in _pieces(said, piece):
            await self.state.pace()
            if not clock.first_token:
                clock.first_token = time.perf_counter_ns()
                await stream.open()
            await stream.send_token(ndjson(answer_line(name, content, done=False)))
        return await stream.end(ndjson(last_line(name, piece("", "", ()), said, clock)))


def _pieces(said: Answer, piece: Piece) -> Iterator[dict[str, Any]]:
    for word in said.thinking:
        yield piece("", word, ())
    for word in said.tokens:
        yield piece(word, "", ())
    if said.calls:
        yield piece("", "", said.calls)


def required_model(body: dict[str, Any]) -> str:
    name: str = field_of(body, "model", str, "")
    if not name:
        raise Refusal(400, "model is required")
    return name
