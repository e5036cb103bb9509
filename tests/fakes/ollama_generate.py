"""Chat, generate and embed of the practice Ollama, on its own API.

NDJSON unless `"stream": false`; statistics that are zero are left out; empty
messages load or unload. Facts sheet, sections 5 and 6.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_state import OllamaState, parse_keep_alive
from tests.fakes.ollama_wire import (
    field_of,
    json_answer,
    ndjson,
    now_with_nanoseconds,
    read_body,
)
from tests.fakes.openai_shapes import inputs_in, said_in
from tests.fakes.streams import LineStream
from tests.fakes.words import Answer, answer, count_tokens, embedding

THINK_LEVELS = ("low", "medium", "high", "max")
INTEGER_OPTIONS = ("num_ctx", "num_predict", "seed", "top_k", "num_gpu", "num_keep")
Piece = Callable[[str, str], dict[str, Any]]


def chat_piece(content: str, thinking: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"message": {**message, "thinking": thinking} if thinking else message}


def generate_piece(content: str, thinking: str) -> dict[str, Any]:
    return {"response": content, **({"thinking": thinking} if thinking else {})}


@dataclass(slots=True)
class Clock:
    """The durations of one request, in nanoseconds as Ollama reports them."""

    began: int
    loaded: int = 0
    first_token: int = 0

    def statistics(self, said: Answer) -> dict[str, int]:
        """Return the final statistics without the zeros."""
        now = time.perf_counter_ns()
        figures = {
            "total_duration": now - self.began,
            "load_duration": self.loaded - self.began,
            "prompt_eval_count": said.prompt_tokens,
            "prompt_eval_duration": self.first_token - self.loaded,
            "eval_count": said.completion_tokens,
            "eval_duration": now - self.first_token,
        }
        return {name: figure for name, figure in figures.items() if figure}


class Generator:
    """Handlers over one state, named after their endpoints."""

    def __init__(self, state: OllamaState) -> None:
        self.state = state

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        model = self.state.find(required_model(body))
        messages = field_of(body, "messages", list, [])
        if not messages:
            return self._finish_load(*await self._load(model, body), chat_piece)
        self._check(model, body, "chat")
        return await self._run(request, body, model, said_in(messages), chat_piece)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        model = self.state.find(field_of(body, "model", str, ""))
        prompt = field_of(body, "prompt", str, "")
        if not prompt:
            return self._finish_load(*await self._load(model, body), generate_piece)
        self._check(model, body, "generate")
        return await self._run(request, body, model, prompt, generate_piece)

    async def embed(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        model = self.state.find(field_of(body, "model", str, ""))
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

    async def _load(
        self, model: PracticeModel, body: dict[str, Any]
    ) -> tuple[PracticeModel, str]:
        keep_alive = parse_keep_alive(body.get("keep_alive"))
        entry = self.state.memory.get(model.name)
        if not keep_alive:
            if entry:
                self.state.keep(entry, keep_alive)
            return model, "unload"
        async with self.state.in_use(model, keep_alive, options_of(body)[0]):
            return model, "load"

    def _finish_load(
        self, model: PracticeModel, reason: str, piece: Piece
    ) -> web.Response:
        line = _line(model.name, piece("", ""), done=True)
        return json_answer({**line, "done_reason": reason})

    def _check(self, model: PracticeModel, body: dict[str, Any], verb: str) -> None:
        if "completion" not in model.capabilities:
            raise Refusal(400, f'"{model.name}" does not support {verb}')
        if body.get("tools") and "tools" not in model.capabilities:
            full = f"registry.ollama.ai/library/{model.name}"
            raise Refusal(400, f"{full} does not support tools")

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
        said = answer(
            prompt, limit=limit, length=self.state.answer_tokens, thinks=thinks
        )
        clock = Clock(time.perf_counter_ns())
        async with self.state.in_use(model, keep_alive, context):
            clock.loaded = time.perf_counter_ns()
            if body.get("stream", True):
                return await self._stream(request, body["model"], said, clock, piece)
            await self.state.pace()
            clock.first_token = time.perf_counter_ns()
            await self.state.pace(said.completion_tokens - 1)
            content = piece(said.text, "".join(said.thinking))
            return json_answer(_last(body["model"], content, said, clock))

    async def _stream(
        self, request: web.Request, name: str, said: Answer, clock: Clock, piece: Piece
    ) -> web.StreamResponse:
        stream = LineStream(request, "application/x-ndjson")
        thoughts = [piece("", word) for word in said.thinking]
        for content in [*thoughts, *(piece(word, "") for word in said.tokens)]:
            await self.state.pace()
            if not clock.first_token:
                clock.first_token = time.perf_counter_ns()
                await stream.open()
            await stream.send_token(ndjson(_line(name, content, done=False)))
        return await stream.end(ndjson(_last(name, piece("", ""), said, clock)))


def required_model(body: dict[str, Any]) -> str:
    name: str = field_of(body, "model", str, "")
    if not name:
        raise Refusal(400, "model is required")
    return name


def options_of(body: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return num_ctx and num_predict; an option of the wrong type is refused."""
    options = field_of(body, "options", dict, {})
    for name in INTEGER_OPTIONS:
        # JSON numbers without a fraction are integers to Ollama, 4.0 included.
        if not _is_whole(options.get(name)):
            raise Refusal(500, f'option "{name}" must be of type integer')
    context, limit = options.get("num_ctx"), options.get("num_predict")
    return context and int(context), limit and int(limit)


def _is_whole(given: Any) -> bool:
    if isinstance(given, bool):
        return False
    return given is None or (
        isinstance(given, (int, float)) and float(given).is_integer()
    )


def wants_thinking(model: PracticeModel, body: dict[str, Any]) -> bool:
    """Return whether the answer starts with thoughts; unset means yes where it can."""
    think = body.get("think")
    can = "thinking" in model.capabilities
    if not (think is None or isinstance(think, bool) or think in THINK_LEVELS):
        raise Refusal(
            400,
            f"invalid think value: {think!r} (must be "
            '"high", "medium", "low", "max", true, or false)',
        )
    if think and not can:
        raise Refusal(400, f'"{model.name}" does not support thinking')
    return can and think is not False


def _line(name: str, content: dict[str, Any], *, done: bool) -> dict[str, Any]:
    stamp = {"model": name, "created_at": now_with_nanoseconds()}
    return {**stamp, **content, "done": done}


def _last(
    name: str, content: dict[str, Any], said: Answer, clock: Clock
) -> dict[str, Any]:
    line = _line(name, content, done=True)
    line["done_reason"] = said.finish_reason
    if "response" in content:
        line["context"] = [len(word) for word in said.tokens]
    return {**line, **clock.statistics(said)}
