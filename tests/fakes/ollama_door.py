"""The control door of the practice Ollama and its registry, beyond `control.py`.

`/__practice__/api/…` is the native API without faults and without a record: the
practice CLI comes in here. `/__practice__/library` changes what can be pulled.
"""

from aiohttp import web

from tests.fakes.control import read_wish, refuse_wish
from tests.fakes.neighbour import CONTROL
from tests.fakes.ollama_catalogue import Catalogue
from tests.fakes.ollama_pull import Puller
from tests.fakes.ollama_store import Store


def add_side_entrance(app: web.Application, store: Store, puller: Puller) -> None:
    app.router.add_get(f"{CONTROL}/api/tags", store.tags)
    app.router.add_post(f"{CONTROL}/api/pull", puller.pull)
    app.router.add_delete(f"{CONTROL}/api/delete", store.delete)


def add_library_routes(app: web.Application, library: Catalogue) -> None:
    """`{"add": [names], "remove": [names], "publish": [names]}`: newer versions."""

    async def show(request: web.Request) -> web.Response:
        return web.json_response({"models": [model.name for model in library]})

    async def change(request: web.Request) -> web.Response:
        wish = await read_wish(request)
        for name in wish.get("remove", []):
            library.discard(name)
        for name in wish.get("add", []):
            library.add(name)
        for name in wish.get("publish", []):
            if name not in library:
                raise refuse_wish(f"Nothing called {name!r} is offered.")
            library.publish(name)
        return await show(request)

    app.router.add_get(f"{CONTROL}/library", show)
    app.router.add_post(f"{CONTROL}/library", change)
