"""A practice OpenAI-compatible server on loopback; it stands in for vLLM.

    python -m tests.fakes.openai_compatible --port 0 --models practice-7b

Its shapes and error texts are those a real vLLM 0.32 was observed to give; only
a refused key answers with the OpenAI error object (see README.md here).
"""

import argparse
from typing import Any

from aiohttp import web

from tests.fakes.control import add_control_routes
from tests.fakes.neighbour import Handler, build_application
from tests.fakes.openai_answers import Answers
from tests.fakes.openai_metrics import PROMETHEUS, exposition
from tests.fakes.openai_state import DEFAULT_MODEL, OpenAIState
from tests.fakes.openai_wire import VllmDialect, json_answer, wrong_key
from tests.fakes.server import run_until_stopped


def build_openai_compatible(state: OpenAIState) -> web.Application:
    """Return the practice server over this state as an aiohttp application."""
    app = build_application(state, VllmDialect())
    app.middlewares.append(_key_guard(state))
    answers = Answers(state)

    async def health(request: web.Request) -> web.Response:
        return web.Response(status=200 if state.is_healthy else 503)

    async def version(request: web.Request) -> web.Response:
        return json_answer({"version": state.version})

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=exposition(state), headers=PROMETHEUS)

    add = app.router
    for path in ("/health", "/ping"):
        add.add_get(path, health, allow_head=False)
    add.add_get("/version", version, allow_head=False)
    add.add_get("/metrics", metrics, allow_head=False)
    add.add_get("/v1/models", answers.models, allow_head=False)
    add.add_post("/v1/chat/completions", answers.chat)
    add.add_post("/v1/completions", answers.completions)
    add.add_post("/v1/embeddings", answers.embeddings)
    add_control_routes(app, state)
    return app


def _key_guard(state: OpenAIState) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The key guards /v1 only, as in vLLM: /health and /version stay open.
        wanted = f"Bearer {state.api_key}"
        is_guarded = state.api_key is not None and request.path.startswith("/v1/")
        if is_guarded and request.headers.get("Authorization") != wanted:
            return wrong_key()
        return await handler(request)

    return guard


def main() -> None:
    parser = argparse.ArgumentParser(description="A practice vLLM on loopback.")
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one")
    parser.add_argument("--tokens-per-second", type=float, default=40)
    parser.add_argument("--answer-tokens", type=int, help="default: by the prompt")
    parser.add_argument("--models", default=DEFAULT_MODEL, help="served names")
    parser.add_argument("--api-key", help="refuse /v1 without this key")
    chosen = parser.parse_args()
    state = OpenAIState(
        served=[name for name in chosen.models.split(",") if name],
        api_key=chosen.api_key,
        tokens_per_second=chosen.tokens_per_second,
        answer_tokens=chosen.answer_tokens,
    )
    run_until_stopped(
        [(build_openai_compatible(state), chosen.port)],
        lambda urls: print("practice server listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
