"""The pieces of OpenAI's wire format that both practice neighbours share.

Only what is the same in Ollama's /v1 and in vLLM's stands here; where the two
differ (ids, the finish chunk, errors) each fake writes its own.
"""

import base64
import json
import struct
from dataclasses import replace
from typing import Any

from tests.fakes.tool_calls import ToolCall
from tests.fakes.words import Answer, count_tokens, embedding

EVENT_STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"


def event(content: dict[str, Any]) -> bytes:
    """Return one server-sent event carrying compact JSON."""
    compact = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f"data: {compact}\n\n".encode()


def usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def wants_json(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") == "json_object"


def as_json(said: Answer, *, valid: bool = True) -> Answer:
    """The answer as an object, or as one that lacks its end."""
    words = ('{"ok"', ": true", "}")
    return replace(said, tokens=words if valid else words[:2], finish_reason="stop")


def called(said: Answer, calls: tuple[ToolCall, ...]) -> Answer:
    return replace(said, tokens=(), calls=calls, finish_reason="tool_calls")


def said_in(messages: list[Any]) -> str:
    """Return the text of all messages, one per line; parts that are no text count 0."""
    return "\n".join(_said(message) for message in messages)


def _said(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def prompt_in(body: dict[str, Any]) -> str:
    """Return the prompt of a plain completion; a list of prompts counts as one."""
    prompt = body.get("prompt", "")
    return "\n".join(map(str, prompt)) if isinstance(prompt, list) else str(prompt)


def inputs_in(body: dict[str, Any]) -> list[str]:
    """Return the texts to embed."""
    given = body.get("input", [])
    return [str(text) for text in given] if isinstance(given, list) else [str(given)]


def embedding_rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"object": "embedding", "embedding": _encoded(body, text), "index": place}
        for place, text in enumerate(inputs_in(body))
    ]


def embedding_usage(body: dict[str, Any]) -> dict[str, Any]:
    tokens = sum(map(count_tokens, inputs_in(body)))
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _encoded(body: dict[str, Any], text: str) -> list[float] | str:
    # The official client asks for base64 unless told otherwise.
    vector = embedding(text)
    if body.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
