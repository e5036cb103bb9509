"""The root ASGI app: what is hot goes past Django.

`/static/`, `/healthz`, the gateway `/v1/…` and open streams are plain ASGI: Django's
handler keeps a thread per request in flight (measured).
"""

from __future__ import annotations

import gc
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from runtime_app.gateway import log_stream, sse, task_stream, waiting
from runtime_app.gateway.app import app as gateway
from runtime_app.gateway.task_runner import runner
from runtime_app.services import ask
from venom_site import consumers
from venom_site.lib import alive, body_limit, slow_readers, static

pages_and_api = waiting.with_waiting(
    body_limit.with_limit(django_app), before_answer=gateway.catch_up
)


async def http(scope: Any, receive: Any, send: Any) -> None:
    path: str = scope["path"]
    if path.startswith("/v1/") or path == "/v1":
        await gateway(scope, receive, send)
    elif path.startswith("/static/"):
        await static.app(scope, receive, send)
    elif path == alive.PATH:
        await alive.app(scope, receive, send)
    elif sse.is_stream(path):
        await sse.app(scope, receive, send)
    elif task_stream.is_stream(path):
        await task_stream.app(scope, receive, send)
    elif log_stream.is_stream(scope):
        await log_stream.app(scope, receive, send)
    else:
        if path == ask.PATH:
            gateway.start()  # a question may come before any other request
        await pages_and_api(scope, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    """uvicorn's start and end; daphne has none, there the gateway starts lazily."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            gateway.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            try:
                await runner.stop()
            finally:
                await gateway.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await slow_readers.paced(http, scope, receive, send)
    elif scope["type"] == "websocket":
        await consumers.app(scope, receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)


# What is loaded by now stays for good: looking through it again and again cost a
# request a sixth of its CPU (measured).
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 20)
