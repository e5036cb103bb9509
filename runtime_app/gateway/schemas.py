"""Reading a request's body: what we need of it, and the bytes that go on.

Unknown fields pass through. The body is changed in three places only: `model` becomes
the upstream's name, `stream_options.include_usage` is added to streams, and `params.py`
fits roles and parameters. A body that needs none of it goes on byte for byte.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from runtime_app.gateway.refusals import Refused, bad_request

MOST_BYTES = 32 * 1024 * 1024
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
_CONTENTS = {CHAT: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input"}
_REQUIRED = frozenset({CHAT, EMBEDDINGS})
_KEPT_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "tool_choice",
)
# Named, because `int | float | str` is put together anew wherever it stands.
_PLAIN = (int, float, str)
# Made once: `json.dumps` and `json.loads` with options make one for each call.
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One request as the client sent it. `model` is None for the active one."""

    path: str
    raw: bytes
    fields: dict[str, Any]
    model: str | None
    stream: bool
    wants_usage: bool

    def body_for(self, served_name: str, fitted: dict[str, Any]) -> bytes:
        """The bytes for the upstream that calls the model `served_name`; `fitted` is
        what `params.fit` made of the fields."""
        add_usage = self.stream and not self.wants_usage
        is_named = fitted.get("model") == served_name
        if fitted is self.fields and is_named and not add_usage:
            return self.raw
        fields = {**fitted, "model": served_name}
        if add_usage:
            given = self.fields.get("stream_options") or {}
            fields["stream_options"] = {**given, "include_usage": True}
        return _ENCODER.encode(fields).encode()

    def parameters(self) -> dict[str, Any]:
        """Plain generation parameters for the history; never contents."""
        found = ((name, self.fields.get(name)) for name in _KEPT_PARAMETERS)
        return {name: v for name, v in found if isinstance(v, _PLAIN)}

    @property
    def has_one_choice(self) -> bool:
        """False also for what a server may understand as several."""
        return self.fields.get("n") in (None, 1) and not self._has_several_prompts

    @property
    def _has_several_prompts(self) -> bool:
        """Texts or lists of tokens; tokens alone are one prompt."""
        prompts = self.fields.get("prompt") if self.path == COMPLETIONS else None
        if not isinstance(prompts, list) or len(prompts) < 2:
            return False
        return not isinstance(prompts[0], int)

    def prompt(self) -> str:
        """The text of the request, roles and media left out."""
        contents = self.fields.get(_CONTENTS[self.path])
        return "\n".join(_texts(contents))


def read_wish(path: str, raw: bytes) -> Wish:
    """Check what the gateway itself relies on; raises `Refused` with 400."""
    fields = _object(raw)
    model = fields.get("model")
    if not (model is None or isinstance(model, str)):
        raise _wrong_type("model", "a string")
    stream = fields.get("stream")
    if not (stream is None or isinstance(stream, bool)):
        raise _wrong_type("stream", "a boolean")
    options = fields.get("stream_options")
    if not (options is None or isinstance(options, dict)):
        raise _wrong_type("stream_options", "an object")
    _check_contents(path, fields)
    return Wish(
        path=path,
        raw=raw,
        fields=fields,
        model=model,
        stream=bool(stream) and path != EMBEDDINGS,
        wants_usage=bool(options and options.get("include_usage")),
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode(json.detect_encoding(raw), "surrogatepass")
        fields = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise bad_request(
            "The body is not JSON. Send one JSON object, UTF-8.", code="invalid_json"
        ) from None
    if not isinstance(fields, dict):
        raise bad_request("The body must be a JSON object.", code="invalid_json")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Numbers that JSON can write but no float can hold, such as 1e999, go nowhere."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _check_contents(path: str, fields: dict[str, Any]) -> None:
    name = _CONTENTS[path]
    contents = fields.get(name)
    if contents is None and path in _REQUIRED:
        raise bad_request(
            f"Missing required parameter: '{name}'.",
            param=name,
            code="missing_required_parameter",
        )
    if path != CHAT:
        return
    if not isinstance(contents, list):
        raise _wrong_type(name, "an array of messages")
    if not contents:
        raise bad_request(
            "'messages' is empty. Send at least one message.",
            param=name,
            code="empty_array",
        )
    if not all(isinstance(message, dict) for message in contents):
        raise _wrong_type(name, "an array of objects")


def _wrong_type(name: str, wanted: str) -> Refused:
    return bad_request(
        f"Invalid type for '{name}': it must be {wanted}.",
        param=name,
        code="invalid_type",
    )


def _texts(contents: Any) -> list[str]:
    if isinstance(contents, str):
        return [contents]
    if not isinstance(contents, list):
        return []
    found: list[str] = []
    for item in contents:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found += _texts(item.get("content", item.get("text")))
    return found
