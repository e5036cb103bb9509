"""How the practice OpenAI-compatible server reads a body and says no.

The error texts are vLLM's as observed; their `type` is
not steady there either, which is why clients should go by the status.
"""

import json
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import Refusal

ENGINE_DEAD = (
    "EngineCore encountered an issue. See stack trace (above) for the root cause."
)


class VllmDialect:
    """The refusals of vLLM."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        error = {
            "message": refusal.message,
            "type": refusal.kind or "BadRequestError",
            "param": refusal.param,
            "code": refusal.status,
        }
        return json_answer({"error": error}, refusal.status)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        if request.path == "/health":
            return web.Response(status=status)
        if status == 401:
            # vLLM's own 401, where `error` is a string.
            return json_answer({"error": "Unauthorized"}, 401)
        refusals = {
            404: no_such_model(model, []),
            500: Refusal(500, ENGINE_DEAD, kind="InternalServerError"),
        }
        fallback = Refusal(status, f"practice fault {status}", kind="PracticeFault")
        return self.refuse(request, refusals.get(status, fallback))

    def not_found(self, request: web.Request) -> web.Response:
        return json_answer({"detail": "Not Found"}, 404)

    def wrong_method(self, request: web.Request) -> web.Response:
        return json_answer({"detail": "Method Not Allowed"}, 405)


def no_such_model(name: str, served: list[str]) -> Refusal:
    return Refusal(
        404,
        f"The model `{name}` does not exist. Valid aliases: {', '.join(served)}.",
        kind="NotFoundError",
        param="model",
    )


def wrong_key() -> web.Response:
    """Return the 401 of OpenAI itself, which its client turns into an exception."""
    error = {
        "message": "Incorrect API key provided.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    return json_answer({"error": error}, 401)


def json_answer(content: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(),
        content_type="application/json",
    )


async def read_body(
    request: web.Request, *, required: str, kind: type[object] = object
) -> dict[str, Any]:
    """Return the JSON object of the request with its required field, or refuse."""
    raw = await request.read()
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as broken:
        raise _invalid(
            f"body.{broken.pos}",
            f"{{'type': 'json_invalid', 'loc': 'body.{broken.pos}', "
            f"'msg': 'JSON decode error', 'input': '<dict of 0 items>', "
            f"'ctx': {{'error': '{broken.msg}'}}}}",
        ) from None
    if not isinstance(body, dict) or required not in body:
        items = len(body) if isinstance(body, dict) else 0
        raise _invalid(
            f"body.{required}",
            f"{{'type': 'missing', 'loc': 'body.{required}', "
            f"'msg': 'Field required', 'input': '<dict of {items} items>'}}",
        )
    if not isinstance(body[required], kind):
        raise wrong_type(required, kind.__name__, body[required])
    return body


def wrong_type(name: str, kind: str, given: Any) -> Refusal:
    """Return vLLM's refusal of a field that is no list, no integer, …"""
    return _invalid(
        f"body.{name}",
        f"{{'type': '{kind}_type', 'loc': 'body.{name}', "
        f"'msg': 'Input should be a valid {kind}', 'input': {given!r}}}",
    )


def _invalid(place: str, complaint: str) -> Refusal:
    message = f"1 validation error:\n  {complaint}"
    return Refusal(400, message, kind="Bad Request", param=place)
