"""Pulls of the practice Ollama: layer after layer, resumable, shared.

Facts sheet, section 3: the order of the lines, what each leaves out, and that all
but a bad name fails with a line after the 200. Leaving cancels; half blobs stay.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from tests.fakes.faults import Fault, FaultKind
from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_blobs import Pace
from tests.fakes.ollama_manifests import Layer, Manifest, manifest_of
from tests.fakes.ollama_models import NAME, PracticeModel
from tests.fakes.ollama_state import OllamaState
from tests.fakes.ollama_wire import (
    NO_MLX,
    NO_SUCH_MANIFEST,
    error_line,
    json_answer,
    model_name,
    ndjson,
    read_body,
    words_of,
)
from tests.fakes.streams import FAULT, LineStream


class PullFailed(Exception):
    """A pull that ends with an error line; its text is the line's."""


class Puller:
    """The handler of /api/pull over one state."""

    def __init__(self, state: OllamaState) -> None:
        self.state = state

    async def pull(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        name = model_name(body)
        if not NAME.match(name):
            raise Refusal(400, "invalid model name")
        lines = self._lines(name, request.get(FAULT))
        async with aclosing(lines):
            if body.get("stream", True):
                return await self._stream(request, lines)
            return await self._quietly(request, lines)

    async def _quietly(
        self, request: web.Request, lines: AsyncGenerator[dict[str, Any], None]
    ) -> web.Response:
        fault = request.get(FAULT)
        if fault and fault.is_error_line:
            raise Refusal(500, words_of(fault))
        try:
            return json_answer([line async for line in lines][-1])
        except PullFailed as failed:
            raise Refusal(500, str(failed)) from None

    async def _stream(
        self, request: web.Request, lines: AsyncGenerator[dict[str, Any], None]
    ) -> web.StreamResponse:
        stream = LineStream(request, "application/x-ndjson", error_line)
        await stream.open()
        last = b""
        try:
            async for line in lines:
                last = ndjson(line)
                if "digest" in line:
                    await stream.send_token(last)
                elif line["status"] != "success":
                    await stream.send(last)
        except PullFailed as failed:
            last = ndjson({"error": str(failed)})
        return await stream.end(last)

    async def _lines(
        self, name: str, fault: Fault | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        # This line goes out before the registry is asked: hence HTTP 200.
        yield {"status": "pulling manifest"}
        model = self._offered(name)
        manifest = manifest_of(model)
        for layer in manifest.blobs:
            ticks = self._fetch(layer)
            async with aclosing(ticks):
                async for completed in ticks:
                    yield _layer_line(layer, completed)
        yield {"status": "verifying sha256 digest"}
        if fault and fault.kind is FaultKind.DIGEST_MISMATCH:
            raise PullFailed(self._spoil(manifest))
        yield {"status": "writing manifest"}
        if self.state.install(model):
            yield {"status": "removing unused layers"}
        yield {"status": "success"}

    def _offered(self, name: str) -> PracticeModel:
        if name not in self.state.library:
            raise PullFailed(NO_SUCH_MANIFEST)
        model = self.state.library.make(name)
        if model.has_tensor_layers:
            raise PullFailed(NO_MLX)
        return model

    async def _fetch(self, layer: Layer) -> AsyncGenerator[int, None]:
        folder = self.state.folder
        if folder.has(layer):
            yield layer.size_bytes
            return
        ticks = folder.fetch(layer, Pace(self.state))
        async with aclosing(ticks):
            async for completed in ticks:
                yield completed

    def _spoil(self, manifest: Manifest) -> str:
        """Delete the first blob, which turned out to be another one."""
        wanted = manifest.blobs[0].digest
        self.state.folder.drop([wanted])
        return (
            "digest mismatch, file must be downloaded again: "
            f"want {wanted} got sha256:{'0' * 64}"
        )


def _layer_line(layer: Layer, completed: int) -> dict[str, Any]:
    line = {
        "status": f"pulling {layer.digest[7:19]}",
        "digest": layer.digest,
        "total": layer.size_bytes,
    }
    # Nothing yet: a zero is left out.
    return {**line, "completed": completed} if completed else line
