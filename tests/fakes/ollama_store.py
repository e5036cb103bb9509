"""The read and delete endpoints of the practice Ollama.

Shapes and order are those of the real server; `ollama_pull.py` installs.
"""

from typing import Any

from aiohttp import web

from tests.fakes.faults import FaultKind
from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.ollama_memory import Loaded
from tests.fakes.ollama_models import NAME
from tests.fakes.ollama_shapes import details_of, show_answer, tag_row
from tests.fakes.ollama_state import OllamaState
from tests.fakes.ollama_wire import json_answer, model_name, read_body
from tests.fakes.streams import FAULT


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
        fault = request.get(FAULT)
        lies = fault is not None and fault.kind is FaultKind.LYING_DIGEST
        rows = [
            tag_row(model, modern=modern, lies=lies)
            for model in self.state.newest_first()
        ]
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
        verbose, modern = bool(body.get("verbose")), self.state.is_modern
        return json_answer(show_answer(model, verbose=verbose, modern=modern))

    async def delete(self, request: web.Request) -> web.Response:
        name = model_name(await read_body(request))
        if not NAME.match(name):
            raise Refusal(400, f'name "{name}" is invalid')
        self.state.find(name)
        self.state.remove_model(name)
        return web.Response()

    def _running(self, entry: Loaded) -> dict[str, Any]:
        model = entry.model
        size = entry.size_bytes
        return {
            "name": model.name,
            "model": model.name,
            "size": size,
            "digest": manifest_of(model).digest,
            "details": details_of(model),
            "expires_at": entry.expires_at.isoformat(),
            "size_vram": int(size * self.state.vram_share),
            "context_length": entry.context_length,
        }
