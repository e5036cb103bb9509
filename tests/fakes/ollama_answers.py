"""The lines of an answer on Ollama's own API, and the wishes that shape it.

Facts sheet, sections 5 and 6: chat says `message`, generate says `response`;
statistics that are zero are left out; a wrong option is refused.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_wire import field_of, now_with_nanoseconds
from tests.fakes.tool_calls import ToolCall
from tests.fakes.words import Answer

THINK_LEVELS = ("low", "medium", "high", "max")
INTEGER_OPTIONS = ("num_ctx", "num_predict", "seed", "top_k", "num_gpu", "num_keep")
Calls = tuple[ToolCall, ...]
Piece = Callable[[str, str, Calls], dict[str, Any]]


def chat_piece(content: str, thinking: str, calls: Calls = ()) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = [call.native(place) for place, call in enumerate(calls)]
    return {"message": message}


def generate_piece(content: str, thinking: str, calls: Calls = ()) -> dict[str, Any]:
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


def answer_line(name: str, content: dict[str, Any], *, done: bool) -> dict[str, Any]:
    stamp = {"model": name, "created_at": now_with_nanoseconds()}
    return {**stamp, **content, "done": done}


def last_line(
    name: str, content: dict[str, Any], said: Answer, clock: Clock
) -> dict[str, Any]:
    line = answer_line(name, content, done=True)
    line["done_reason"] = said.finish_reason
    if "response" in content:
        line["context"] = [len(word) for word in said.tokens]
    return {**line, **clock.statistics(said)}


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
