"""How Ollama reads a body, writes an answer and says no, on both of its APIs.

Used by the handlers of the practice Ollama. Facts sheet, sections 1, 6 and 7:
`{"error": "text"}` under /api, the OpenAI error object under /v1.
"""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.fakes.faults import Fault, FaultKind
from tests.fakes.neighbour import Refusal

PLAIN = {"Content-Type": "text/plain"}
V1_KINDS = {400: "invalid_request_error", 404: "not_found_error"}
GO_WORDS: dict[type[object], str] = {
    str: "string",
    list: "array",
    dict: "object",
    bool: "bool",
}
# Two spaces, as in the original.
BUSY = "server busy, please try again.  maximum pending requests exceeded"
CRASHED = "llama-server process no longer running: -1 error: out of memory"
NO_SUCH_MANIFEST = "pull model manifest: file does not exist"
NO_MLX = "this model requires MLX support, but the MLX runtime is not available"
BLOB = "/usr/share/ollama/.ollama/models/blobs/sha256-6a0746a1ec1aef3e7ec53868f220ff6e"
SIGN_IN = "https://ollama.com/connect?name=practice"
ERROR_TEXTS = {
    FaultKind.CRASH: CRASHED,
    FaultKind.NO_MANIFEST: NO_SUCH_MANIFEST,
    FaultKind.ACCESS_DENIED: "unauthorized: access denied",
    FaultKind.DISK_FULL: f"write {BLOB}-partial: no space left on device",
    FaultKind.MAX_RETRIES: "max retries exceeded: unexpected EOF",
}


class OllamaDialect:
    """The refusals of Ollama; chosen by the path, as its two APIs disagree."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        if not request.path.startswith("/v1/"):
            body = {"error": refusal.message}
            if refusal.status == 401:
                body["signin_url"] = SIGN_IN
            return json_answer(body, refusal.status)
        return json_answer(v1_error(refusal), refusal.status)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        messages = {404: f"model '{model}' not found", 500: CRASHED, 503: BUSY}
        message = messages.get(status, f"practice fault {status}")
        return self.refuse(request, Refusal(status, message))

    def not_found(self, request: web.Request) -> web.Response:
        return web.Response(status=404, body=b"404 page not found", headers=PLAIN)

    def wrong_method(self, request: web.Request) -> web.Response:
        return web.Response(status=405, body=b"405 method not allowed", headers=PLAIN)


def json_answer(content: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(),
        content_type="application/json",
        charset="utf-8",
    )


def ndjson(content: dict[str, Any]) -> bytes:
    """Return one line of an `application/x-ndjson` stream."""
    return (
        json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    )


def v1_error(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as the OpenAI side words it, as a body or as an event."""
    error = {
        "message": refusal.message,
        "type": V1_KINDS.get(refusal.status, "api_error"),
        "param": None,
        "code": None,
    }
    return {"error": error}


def words_of(fault: Fault) -> str:
    """Return what Ollama says when this goes wrong after its 200."""
    return ERROR_TEXTS[fault.kind]


def error_line(fault: Fault) -> bytes:
    return ndjson({"error": words_of(fault)})


async def read_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of the request, or refuse it with 400."""
    raw = await request.read()
    if not raw.strip():
        raise Refusal(400, "missing request body")
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refusal(400, _go_complaint(raw)) from None
    if not isinstance(body, dict):
        kind = GO_WORDS.get(type(body), "number")
        raise Refusal(400, f"json: cannot unmarshal {kind} into Go value")
    return body


def _go_complaint(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace").strip()
    if text[0] in "{[":
        return "unexpected EOF"
    return f"invalid character '{text[0]}' looking for beginning of value"


def model_name(body: dict[str, Any]) -> str:
    """Return the model asked for; the old key `name` is still accepted."""
    return field_of(body, "model", str, "") or field_of(body, "name", str, "")


def field_of(body: dict[str, Any], name: str, kind: type[object], default: Any) -> Any:
    """Return a field of the right type; null is the default, else 400 as Go says."""
    given = body.get(name)
    if given is None:
        return default
    if not isinstance(given, kind):
        was = GO_WORDS.get(type(given), "number")
        raise Refusal(
            400,
            f"json: cannot unmarshal {was} into Go struct field .{name} "
            f"of type {GO_WORDS.get(kind, kind.__name__)}",
        )
    return given


def now_with_nanoseconds() -> str:
    """Return the time as `created_at` has it: UTC with nine decimals."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
