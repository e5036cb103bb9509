"""A practice registry on loopback: manifests and small blobs of what can be pulled.

    python -m tests.fakes.ollama_registry --port 0

It shares the catalogue with the practice Ollama. Facts sheet, section 10; the weights
have a size and no content, as nobody but the practice Ollama fetches them: only who
asks for a range gets the header with which such a file begins.
"""

import argparse
import re
from dataclasses import dataclass, field

from aiohttp import web

from tests.fakes.control import add_control_routes
from tests.fakes.gguf import gguf_bytes
from tests.fakes.neighbour import NeighbourState, Refusal, build_application
from tests.fakes.ollama_catalogue import Catalogue
from tests.fakes.ollama_door import add_library_routes
from tests.fakes.ollama_manifests import IMAGE, MANIFEST_TYPE, Layer, manifest_of
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_shapes import model_info
from tests.fakes.ollama_wire import json_answer
from tests.fakes.server import run_until_stopped

MODEL = "/v2/{namespace}/{model}"
STORE = "/store"
WEIGHTS = f"{IMAGE}model"
RANGE = re.compile(r"bytes=0-(\d+)")


@dataclass(kw_only=True)
class RegistryState(NeighbourState):
    """What the registry offers and what it was asked."""

    version: str = "2"
    library: Catalogue = field(default_factory=Catalogue)
    leads_on: bool = False  # blobs lie elsewhere, as with the real one

    def model_names(self) -> list[str]:
        return [model.name for model in self.library]

    def add_model(self, name: str) -> None:
        self.library.add(name)

    def remove_model(self, name: str) -> None:
        self.library.discard(name)


class RegistryDialect:
    """The refusals of a registry."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        error = {"code": refusal.kind or "UNKNOWN", "message": refusal.message}
        return json_answer({"errors": [error]}, refusal.status)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        if status == 404:
            return self.refuse(request, unknown("manifest"))
        return self.refuse(request, Refusal(status, f"practice fault {status}"))

    def not_found(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="404 page not found\n")

    def wrong_method(self, request: web.Request) -> web.Response:
        return self.refuse(
            request, Refusal(405, "method not allowed", kind="UNSUPPORTED")
        )


class Registry:
    """Handlers over one state."""

    def __init__(self, state: RegistryState) -> None:
        self.state = state

    async def manifest(self, request: web.Request) -> web.Response:
        model = self._find(request, request.match_info["tag"])
        manifest = manifest_of(model)
        headers = {
            "Content-Type": MANIFEST_TYPE,
            "ollama-content-digest": f"sha256:{manifest.digest}",
        }
        return web.Response(body=manifest.raw, headers=headers)

    async def blob(self, request: web.Request) -> web.Response:
        if self.state.leads_on and not request.path.startswith(STORE):
            place = (
                f"http://localhost:{request.url.port}{STORE}{request.path}?sig=practice"
            )
            return web.Response(status=307, headers={"Location": place})
        model, layer = self._layer(request)
        headers = {"Content-Type": "application/octet-stream", "ETag": layer.digest}
        if request.method == "HEAD":
            headers["Content-Length"] = str(layer.size_bytes)
            return web.Response(headers=headers)
        wanted = RANGE.fullmatch(request.headers.get("Range", ""))
        if layer.content is None and not (wanted and layer.media_type == WEIGHTS):
            raise unknown("blob")
        content = layer.content or gguf_bytes(model_info(model, verbose=True))
        if wanted is None:
            return web.Response(body=content, headers=headers)
        end = min(int(wanted[1]), layer.size_bytes - 1)
        headers["Content-Range"] = f"bytes 0-{end}/{layer.size_bytes}"
        return web.Response(status=206, body=content[: end + 1], headers=headers)

    def _layer(self, request: web.Request) -> tuple[PracticeModel, Layer]:
        wanted = request.match_info["digest"]
        prefix = f"{_name(request)}:"
        for model in self.state.library:
            if model.key.startswith(prefix):
                for layer in manifest_of(model).blobs:
                    if layer.digest == wanted:
                        return model, layer
        raise unknown("blob")

    def _find(self, request: web.Request, tag: str) -> PracticeModel:
        model = self.state.library.find(f"{_name(request)}:{tag}")
        if model is None:
            raise unknown("manifest")
        return model


def _name(request: web.Request) -> str:
    place = request.match_info
    return f"{place['namespace']}/{place['model']}".lower().removeprefix("library/")


def unknown(thing: str) -> Refusal:
    return Refusal(404, f"{thing} unknown", kind=f"{thing.upper()}_UNKNOWN")


def build_registry(state: RegistryState) -> web.Application:
    """Return the practice registry over this state as an aiohttp application."""
    app = build_application(state, RegistryDialect())
    registry = Registry(state)
    app.router.add_get(f"{MODEL}/manifests/{{tag}}", registry.manifest)
    app.router.add_get(f"{MODEL}/blobs/{{digest}}", registry.blob)
    app.router.add_get(f"{STORE}{MODEL}/blobs/{{digest}}", registry.blob)
    add_control_routes(app, state)
    add_library_routes(app, state.library)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A practice registry on loopback.")
    parser.add_argument("--port", type=int, default=11435, help="0 takes a free one")
    chosen = parser.parse_args()
    run_until_stopped(
        [(build_registry(RegistryState()), chosen.port)],
        lambda urls: print("practice registry listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
