"""A practice ollama.com on loopback: the pages of what the practice registry offers.

    python -m tests.fakes.ollama_library --port 0 --look old

It shares the catalogue with the practice registry, so tags, sizes and digests agree.
Facts sheet, section 11. A readme's Markdown is shown as plain paragraphs.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any, ClassVar
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes import ollama_library_pages as pages
from tests.fakes.control import add_control_routes, read_wish, refuse_wish
from tests.fakes.neighbour import CONTROL, NeighbourState, Refusal, build_application
from tests.fakes.ollama_catalogue import Catalogue
from tests.fakes.ollama_door import add_library_routes
from tests.fakes.ollama_library_pages import Family, Look
from tests.fakes.ollama_library_texts import story_of
from tests.fakes.server import run_until_stopped

HTML = "text/html"


@dataclass(kw_only=True)
class LibraryState(NeighbourState):
    """What the site shows and how; `moved` leads old paths to new ones."""

    settings: ClassVar[tuple[str, ...]] = ("page_size", "retry_after_seconds")

    version: str = "2026-08"
    library: Catalogue = field(default_factory=Catalogue)
    look: Look = Look.NOW
    page_size: int = 5
    retry_after_seconds: float | None = 30  # with a 429; None leaves the header out
    moved: dict[str, str] = field(default_factory=dict)

    def model_names(self) -> list[str]:
        return [model.name for model in self.library]

    def add_model(self, name: str) -> None:
        self.library.add(name)

    def remove_model(self, name: str) -> None:
        self.library.discard(name)

    def figures(self) -> dict[str, Any]:
        return {"look": self.look}

    def families(self) -> list[Family]:
        """Most pulled first."""
        models: dict[str, list[Any]] = {}
        for model in self.library:
            models.setdefault(model.name.rpartition(":")[0], []).append(model)
        found = [
            Family(name=name, models=_in_order(members), story=story_of(name))
            for name, members in models.items()
        ]
        return sorted(found, key=lambda family: -family.story.pulls)

    def family(self, name: str) -> Family | None:
        wanted = name.lower()
        return next((f for f in self.families() if f.name.lower() == wanted), None)


def _in_order(models: list[Any]) -> tuple[Any, ...]:
    """`latest` first, then by size, as the site lists tags."""
    return tuple(
        sorted(
            models, key=lambda m: (pages.tag_of(m) != "latest", m.size_bytes, m.name)
        )
    )


class Moved(Refusal):
    def __init__(self, path: str) -> None:
        super().__init__(301, path)


class LibraryDialect:
    """The refusals of a web site: pages, and a Retry-After where it is overrun."""

    def __init__(self, state: LibraryState) -> None:
        self.state = state

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        if isinstance(refusal, Moved):
            return web.Response(status=301, headers={"Location": refusal.message})
        said = f"<h1>{refusal.status}</h1><p>{escape(refusal.message)}</p>"
        page = pages.frame(str(refusal.status), "", said)
        answer = web.Response(status=refusal.status, text=page, content_type=HTML)
        if refusal.status == 429 and self.state.retry_after_seconds is not None:
            answer.headers["Retry-After"] = f"{self.state.retry_after_seconds:g}"
        return answer

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        return self.refuse(request, Refusal(status, f"practice fault {status}"))

    def not_found(self, request: web.Request) -> web.Response:
        return self.refuse(request, Refusal(404, "page not found"))

    def wrong_method(self, request: web.Request) -> web.Response:
        return self.refuse(request, Refusal(405, "method not allowed"))


class Site:
    """Handlers over one state."""

    def __init__(self, state: LibraryState) -> None:
        self.state = state

    async def user(self, request: web.Request) -> web.Response:
        """`/library` and `/somebody`: everything on one page."""
        user = request.match_info.get("user", "library").lower()
        own = [family for family in self.state.families() if _owner(family) == user]
        if not own and user != "library":
            raise web.HTTPNotFound
        own = list(_matching(own, request.query.get("q", "")))
        return self._answer(
            pages.list_page(self.state.look, _sorted(own, request, "sort"))
        )

    async def search(self, request: web.Request) -> web.Response:
        """Official models only, unless words are given; later pages only for htmx."""
        query, is_htmx = request.query.get("q", ""), "HX-Request" in request.headers
        found = list(_matching(self.state.families(), query))
        if not query:
            found = [family for family in found if _owner(family) == "library"]
        for wanted in request.query.getall("c", []):
            found = [f for f in found if wanted in _abilities(f)]
        number = request.query.get("page", "1") if is_htmx else "1"
        page = int(number) if number.isdecimal() else 1
        begin, end = (page - 1) * self.state.page_size, page * self.state.page_size
        shown = _sorted(found, request, "o")[begin:end]
        more = pages.sentinel(_next(request, page)) if end < len(found) else ""
        if is_htmx and page > 1:
            return self._answer(pages.cards(self.state.look, shown) + more)
        return self._answer(pages.list_page(self.state.look, shown, more))

    async def model(self, request: web.Request) -> web.Response:
        family = self._family(request)
        parts = family.story.readme.split("\n\n")
        readme = "".join(f"<p>{escape(part)}</p>" for part in parts if part.strip())
        return self._answer(pages.model_page(self.state.look, family, readme))

    async def tags(self, request: web.Request) -> web.Response:
        return self._answer(pages.tags_page(self.state.look, self._family(request)))

    def _family(self, request: web.Request) -> Family:
        moved = self.state.moved.get(request.path)
        if moved:
            raise Moved(moved)
        user, model = request.match_info["user"], request.match_info["model"]
        family = self.state.family(model if user == "library" else f"{user}/{model}")
        if family is None:
            raise web.HTTPNotFound
        return family

    def _answer(self, page: str) -> web.Response:
        return web.Response(text=page, content_type=HTML, charset="utf-8")


def _owner(family: Family) -> str:
    return family.name.rpartition("/")[0].lower() or "library"


def _abilities(family: Family) -> list[str]:
    return [*family.capabilities, *(["cloud"] if family.has_cloud else [])]


def _matching(families: Iterable[Family], query: str) -> Iterable[Family]:
    words = query.lower().split()
    for family in families:
        text = f"{family.name} {family.story.description}".lower()
        if all(word in text for word in words):
            yield family


def _sorted(families: list[Family], request: web.Request, order: str) -> list[Family]:
    if request.query.get(order) == "newest":
        return sorted(families, key=lambda f: f.story.updated, reverse=True)
    return families


def _next(request: web.Request, page: int) -> str:
    kept = [(name, value) for name, value in request.query.items() if name != "page"]
    return urlencode([("page", str(page + 1)), *kept])


def build_library(state: LibraryState) -> web.Application:
    """Return the practice site over this state as an aiohttp application."""
    app = build_application(state, LibraryDialect(state))
    site = Site(state)

    async def change_look(request: web.Request) -> web.Response:
        try:
            state.look = Look((await read_wish(request)).get("look", ""))
        except ValueError as unknown:
            raise refuse_wish(str(unknown)) from None
        return web.json_response({"look": state.look})

    add_control_routes(app, state)
    add_library_routes(app, state.library)
    app.router.add_post(f"{CONTROL}/look", change_look)
    app.router.add_get("/search", site.search)
    app.router.add_get("/{user}", site.user)
    app.router.add_get("/{user}/{model}", site.model)
    app.router.add_get("/{user}/{model}/tags", site.tags)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A practice ollama.com on loopback.")
    parser.add_argument("--port", type=int, default=11436, help="0 takes a free one")
    parser.add_argument("--look", type=Look, choices=list(Look), default=Look.NOW)
    chosen = parser.parse_args()
    run_until_stopped(
        [(build_library(LibraryState(look=chosen.look)), chosen.port)],
        lambda urls: print("practice library listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
