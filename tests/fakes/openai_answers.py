"""The endpoints under /v1 of the practice OpenAI-compatible server.

Whole answers and chunks have every key a real vLLM was seen to send, null ones
included; the last chunk of text carries the finish_reason.
"""

import hashlib
import time
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import Refusal
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
from tests.fakes.openai_state import OpenAIState
from tests.fakes.openai_wire import (
    ENGINE_DEAD,
    json_answer,
    no_such_model,
    read_body,
    wrong_type,
)
from tests.fakes.streams import LineStream
from tests.fakes.tool_calls import calls_for
from tests.fakes.words import Answer, answer


class Answers:
    """Handlers over one state, named after their endpoints."""

    def __init__(self, state: OpenAIState) -> None:
        self.state = state

    async def models(self, request: web.Request) -> web.Response:
        rows = [self._row(name) for name in self.state.served]
        return json_answer({"object": "list", "data": rows})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, required="messages", kind=list)
        self._check(body)
        if not body["messages"]:
            raise Refusal(
                400,
                "Cannot apply chat template to an empty conversation. "
                "Provide at least one message.",
            )
        self._refuse_what_it_cannot(body)
        return await self._run(request, body, said_in(body["messages"]), is_chat=True)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, required="prompt")
        self._check(body)
        return await self._run(request, body, prompt_in(body), is_chat=False)

    async def embeddings(self, request: web.Request) -> web.Response:
        body = await read_body(request, required="input")
        self._check(body)
        head = self._head("embd", "list")
        tokens = {**embedding_usage(body), "completion_tokens": 0}
        return json_answer({**head, "data": embedding_rows(body), "usage": tokens})

    def _check(self, body: dict[str, Any]) -> None:
        if not self.state.is_healthy:
            raise Refusal(500, ENGINE_DEAD, kind="InternalServerError")
        # Without a model the request is served, as vLLM does.
        if "model" in body and body["model"] not in self.state.served:
            raise no_such_model(body["model"], self.state.served)
        if body.get("stream_options") and not body.get("stream"):
            raise _out_of_range(
                "stream_options",
                "Stream options can only be defined when `stream=True`.",
            )

    def _refuse_what_it_cannot(self, body: dict[str, Any]) -> None:
        roles = [m.get("role") for m in body["messages"] if isinstance(m, dict)]
        if "system" in roles and not self.state.system_role:
            raise Refusal(400, "System role not supported")
        if body.get("tools") and self.state.tools == "refused":
            raise Refusal(
                400,
                '"auto" tool choice requires --enable-auto-tool-choice and '
                "--tool-call-parser to be set",
            )

    async def _run(
        self, request: web.Request, body: dict[str, Any], prompt: str, *, is_chat: bool
    ) -> web.StreamResponse:
        limit = limit_of(body)
        said = answer(prompt, limit=limit, length=self.state.answer_tokens)
        self._check_length(said, limit)
        self.state.prompt_tokens += said.prompt_tokens
        if body.get("stream"):
            return await self._stream(request, body, said, is_chat)
        said = self._as_asked(body, prompt, said)
        await self.state.pace(said.completion_tokens)
        self.state.generated_tokens += said.completion_tokens
        return json_answer(self._chat(said) if is_chat else self._text(said))

    def _as_asked(self, body: dict[str, Any], prompt: str, said: Answer) -> Answer:
        may_call = self.state.tools == "called"
        if may_call and (calls := calls_for(body, prompt)):
            return called(said, calls)
        if wants_json(body):
            return as_json(said, valid=self.state.valid_json)
        return said

    def _check_length(self, said: Answer, limit: int | None) -> None:
        longest = self.state.max_model_len
        if limit and limit > longest:
            raise _out_of_range(
                "max_tokens",
                f"max_tokens={limit} cannot be greater than max_model_len={longest}. "
                "Please request fewer output tokens.",
                limit,
            )
        if said.prompt_tokens >= longest:
            raise _out_of_range(
                "input_tokens",
                f"This model's maximum context length is {longest} tokens. However, "
                f"your prompt contains at least {longest + 1} input tokens, which "
                "exceeds this limit even without any output tokens. Please reduce "
                "the length of the input prompt.",
                longest + 1,
            )

    async def _stream(
        self, request: web.Request, body: dict[str, Any], said: Answer, is_chat: bool
    ) -> web.StreamResponse:
        kind = "chat.completion.chunk" if is_chat else "text_completion"
        head = self._head("chatcmpl" if is_chat else "cmpl", kind)
        stream = LineStream(request, f"{EVENT_STREAM}; charset=utf-8")
        await stream.open()
        if is_chat:
            await stream.send(event(_role_chunk(head)))
        for place, word in enumerate(said.tokens, start=1):
            await self.state.pace()
            self.state.generated_tokens += 1
            reason = said.finish_reason if place == len(said.tokens) else None
            chunk = _chat_chunk if is_chat else _text_chunk
            await stream.send_token(event(chunk(head, word, reason)))
        last = []
        if wants_usage(body):
            tail = {"choices": [], "usage": usage(said)}
            fingerprint = {"system_fingerprint": self._fingerprint()}
            last = [event({**head, **tail, **fingerprint})]
        return await stream.end(*last, DONE)

    def _chat(self, said: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": said.text,
            "refusal": None,
        }
        for name in ("annotations", "audio", "function_call", "reasoning"):
            message[name] = None
        if said.calls:
            message["content"] = None
            message["tool_calls"] = [c.openai(n) for n, c in enumerate(said.calls)]
        return self._whole("chatcmpl", "chat.completion", {"message": message}, said)

    def _text(self, said: Answer) -> dict[str, Any]:
        return self._whole("cmpl", "text_completion", {"text": said.text}, said)

    def _whole(
        self, prefix: str, kind: str, content: dict[str, Any], said: Answer
    ) -> dict[str, Any]:
        choice = {
            "index": 0,
            **content,
            "logprobs": None,
            "finish_reason": said.finish_reason,
            "stop_reason": None,
            "token_ids": None,
        }
        return {
            **self._head(prefix, kind),
            "choices": [choice],
            "service_tier": None,
            "system_fingerprint": self._fingerprint(),
            "usage": {**usage(said), "prompt_tokens_details": None},
            "prompt_logprobs": None,
            "kv_transfer_params": None,
        }

    def _head(self, prefix: str, kind: str) -> dict[str, Any]:
        now = time.time_ns()
        return {
            "id": f"{prefix}-{now:016x}",
            "object": kind,
            "created": now // 10**9,
            "model": self.state.served[0] if self.state.served else "",
        }

    def _fingerprint(self) -> str:
        return f"vllm-{self.state.version}-practice"

    def _row(self, name: str) -> dict[str, Any]:
        # `created` is the time of the request, not of the start; vLLM does that.
        return {
            "id": name,
            "object": "model",
            "created": int(time.time()),
            "owned_by": "vllm",
            "root": self.state.root or f"/models/{self.state.served[0]}",
            "parent": None,
            "max_model_len": self.state.max_model_len,
            "permission": [_permission(name)],
        }


def limit_of(body: dict[str, Any]) -> int | None:
    """Return how many tokens the client allows; None is as many as it takes."""
    for name in ("max_completion_tokens", "max_tokens"):
        given = body.get(name)
        if given is not None and (not isinstance(given, int) or given < 0):
            raise wrong_type(name, "integer", given)
    return body.get("max_completion_tokens") or body.get("max_tokens")


def _role_chunk(head: dict[str, Any]) -> dict[str, Any]:
    delta = {"role": "assistant", "content": ""}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {**head, "choices": [choice], "prompt_token_ids": None, "prompt_text": None}


def _chat_chunk(head: dict[str, Any], word: str, reason: str | None) -> dict[str, Any]:
    return _chunk(head, {"delta": {"content": word}}, reason)


def _text_chunk(head: dict[str, Any], word: str, reason: str | None) -> dict[str, Any]:
    return _chunk(head, {"text": word}, reason)


def _chunk(
    head: dict[str, Any], content: dict[str, Any], reason: str | None
) -> dict[str, Any]:
    choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
    if reason:
        choice["stop_reason"] = None
    return {**head, "choices": [{**choice, "token_ids": None}]}


def _permission(name: str) -> dict[str, Any]:
    return {
        "id": f"modelperm-{hashlib.sha256(name.encode()).hexdigest()[:16]}",
        "object": "model_permission",
        "created": int(time.time()),
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }


def _out_of_range(name: str, message: str, given: int | None = None) -> Refusal:
    value = "" if given is None else f", value={given}"
    return Refusal(400, f"{message} (parameter={name}{value})", param=name)
