"""A practice server of nothing but files: `GET /files/PATH`, large ones by SHA-256.

    state.serve("model.safetensors", b"…")
    state.desk.faults.plan("model.safetensors", "cut:1000000")

Two servers over one state are two origins: `state.desk.signed_base = second.url`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.files import (
    Content,
    FileDesk,
    add_signed_routes,
    answer_file,
    size_of,
)
from tests.fakes.neighbour import NeighbourState, Refusal, build_application

COMMIT = "c0ffee" + "0" * 34


def _hashes(content: Content, sha256: Any, git: Any) -> tuple[str, str]:
    git.update(f"blob {size_of(content)}\0".encode())
    if isinstance(content, bytes):
        sha256.update(content)
        git.update(content)
    else:
        with content.open("rb") as file:
            while piece := file.read(1 << 20):
                sha256.update(piece)
                git.update(piece)
    return sha256.hexdigest(), git.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFile:
    content: Content
    sha256: str
    git_sha1: str
    is_large: bool  # LFS: named by its sha256, perhaps on another origin

    @property
    def size_bytes(self) -> int:
        return size_of(self.content)


@dataclass(kw_only=True)
class FilesState(NeighbourState):
    """What the server offers; a file served again under its path has changed."""

    version: str = "1"
    desk: FileDesk = field(default_factory=FileDesk)
    files: dict[str, ServedFile] = field(default_factory=dict)

    def serve(
        self, path: str, content: Content, *, is_large: bool = True
    ) -> ServedFile:
        sha256, git_sha1 = _hashes(
            content, hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
        )
        served = ServedFile(
            content=content, sha256=sha256, git_sha1=git_sha1, is_large=is_large
        )
        self.files[path] = served
        return served

    def model_names(self) -> list[str]:
        return sorted(self.files)


class FilesDialect:
    """The refusals of a plain file server."""

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        return web.json_response({"error": refusal.message}, status=refusal.status)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        return self.refuse(request, Refusal(status, f"practice fault {status}"))

    def not_found(self, request: web.Request) -> web.Response:
        headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
        return web.json_response(
            {"error": "Entry not found"}, status=404, headers=headers
        )

    def wrong_method(self, request: web.Request) -> web.Response:
        return self.refuse(request, Refusal(405, "method not allowed"))


def build_files(state: FilesState) -> web.Application:
    """Return the server over this state; two of them on one state are two origins."""
    app = build_application(state, FilesDialect())

    async def file(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path not in state.files:
            raise web.HTTPNotFound
        served = state.files[path]
        return await answer_file(
            request,
            served.content,
            desk=state.desk,
            path=path,
            etag=served.sha256 if served.is_large else served.git_sha1,
            sha256=served.sha256 if served.is_large else "",
            headers={"X-Repo-Commit": COMMIT},
        )

    app.router.add_get("/files/{path:.+}", file)
    add_signed_routes(app, state.desk)
    return app
