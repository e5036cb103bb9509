"""The read, pull and delete endpoints of the practice Ollama.

Shapes and line order are those of the real server. Pulling is
simple here: two layers, a few progress lines, then the model is installed.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_models import NAME, PracticeModel, full_name, make_model
from tests.fakes.ollama_state import Loaded, OllamaState
from tests.fakes.ollama_wire import json_answer, model_name, ndjson, read_body
from tests.fakes.streams import LineStream

NO_SUCH_MANIFEST = "pull model manifest: file does not exist"


class Store:
    """Handlers over one state, named after their endpoints."""

    def __init__(self, state: OllamaState) -> None:
        self.state = state

    async def root(self, request: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def version(self, request: web.Request) -> web.Response:
        return json_answer({"version": self.state.version})

    async def status(self, request: web.Request) -> web.Response:
        return json_answer({"cloud": {"disabled": False, "source": "none"}})

    async def tags(self, request: web.Request) -> web.Response:
        modern = self.state.is_modern
        rows = [model.as_tag(modern=modern) for model in self.state.newest_first()]
        return json_answer({"models": rows})

    async def ps(self, request: web.Request) -> web.Response:
        rows = [self._running(entry) for entry in self.state.loaded()]
        return json_answer({"models": rows})

    async def show(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        name = model_name(body)
        if not name:
            raise Refusal(400, "model is required")
        model = self.state.find(name)
        return json_answer(model.as_show(verbose=bool(body.get("verbose"))))

    async def delete(self, request: web.Request) -> web.Response:
        name = model_name(await read_body(request))
        if not NAME.match(name):
            raise Refusal(400, f'name "{name}" is invalid')
        self.state.find(name)
        self.state.remove_model(name)
        return web.Response()

    async def pull(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        name = model_name(body)
        if not NAME.match(name):
            raise Refusal(400, "invalid model name")
        if body.get("stream", True):
            return await self._pull_stream(request, name)
        if full_name(name) not in self.state.library:
            raise Refusal(500, NO_SUCH_MANIFEST)
        self.state.add_model(name)
        return json_answer({"status": "success"})

    async def _pull_stream(self, request: web.Request, name: str) -> web.StreamResponse:
        stream = LineStream(request, "application/x-ndjson")
        await stream.open()
        await stream.send(ndjson({"status": "pulling manifest"}))
        # The manifest line goes out before the registry is asked: still HTTP 200.
        if full_name(name) not in self.state.library:
            return await stream.end(ndjson({"error": NO_SUCH_MANIFEST}))
        have = full_name(name).lower() in self.state.models
        for line in _layers(make_model(name), have=have):
            await asyncio.sleep(self.state.tick_seconds)
            await stream.send_token(ndjson(line))
        await stream.send(ndjson({"status": "verifying sha256 digest"}))
        await stream.send(ndjson({"status": "writing manifest"}))
        self.state.add_model(name)
        return await stream.end(ndjson({"status": "success"}))

    def _running(self, entry: Loaded) -> dict[str, Any]:
        model = entry.model
        size = model.size_bytes + 131_072 * entry.context_length
        return {
            "name": model.name,
            "model": model.name,
            "size": size,
            "digest": model.digest,
            "details": model.details(),
            "expires_at": entry.expires_at.isoformat(),
            "size_vram": int(size * self.state.vram_share),
            "context_length": entry.context_length,
        }


def _layers(model: PracticeModel, *, have: bool) -> Iterator[dict[str, Any]]:
    template = 1429
    for part, total in (("model", model.size_bytes - template), ("template", template)):
        digest = hashlib.sha256(f"{model.name}/{part}".encode()).hexdigest()
        line = {
            "status": f"pulling {digest[:12]}",
            "digest": f"sha256:{digest}",
            "total": total,
        }
        if not have and part == "model":
            yield line  # nothing yet: `completed` is omitted when it is zero
            yield from ({**line, "completed": total * n // 4} for n in range(1, 4))
        yield {**line, "completed": total}
