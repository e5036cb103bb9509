"""The control door of a practice neighbour, under `/__practice__/` on its port.

For people and for tests in another process; tests in the same process hold the
state object instead. No fault applies here and nothing here is recorded.
"""

import json
from typing import Any

from aiohttp import web

from tests.fakes.neighbour import CONTROL, NeighbourState


def add_control_routes(app: web.Application, state: NeighbourState) -> None:
    """Let the neighbour be asked and changed over HTTP while it runs."""
    door = _Door(state)
    app.router.add_get(f"{CONTROL}/state", door.show)
    app.router.add_post(f"{CONTROL}/faults", door.plan_fault)
    app.router.add_delete(f"{CONTROL}/faults", door.clear_faults)
    app.router.add_post(f"{CONTROL}/models", door.change_models)
    app.router.add_post(f"{CONTROL}/version", door.change_version)
    app.router.add_post(f"{CONTROL}/settings", door.change_settings)


class _Door:
    def __init__(self, state: NeighbourState) -> None:
        self.state = state

    async def show(self, request: web.Request) -> web.Response:
        state = self.state
        return web.json_response(
            {
                "version": state.version,
                "models": state.model_names(),
                "requests": dict(state.requests),
                "in_flight": state.in_flight,
                "cancelled": state.cancelled,
                "last_bodies": state.last_bodies,
                "last_headers": state.last_headers,
                "faults": [
                    {"path": plan.path, "fault": plan.text, "times": plan.times}
                    for plan in state.faults
                ],
                **state.figures(),
            }
        )

    async def plan_fault(self, request: web.Request) -> web.Response:
        wish = await read_wish(request)
        try:
            self.state.faults.plan(
                str(wish["path"]), str(wish["fault"]), int(wish.get("times", 1))
            )
        except KeyError as missing:
            raise refuse_wish(f"The field {missing} is missing.") from None
        except ValueError as wrong:
            raise refuse_wish(str(wrong)) from None
        return await self.show(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self.state.faults.clear()
        return await self.show(request)

    async def change_models(self, request: web.Request) -> web.Response:
        """`{"add": [names], "remove": [names]}`, as if someone used the CLI."""
        wish = await read_wish(request)
        for name in wish.get("remove", []):
            self.state.remove_model(name)
        for name in wish.get("add", []):
            self.state.add_model(name)
        return await self.show(request)

    async def change_version(self, request: web.Request) -> web.Response:
        self.state.version = str((await read_wish(request)).get("version", ""))
        return await self.show(request)

    async def change_settings(self, request: web.Request) -> web.Response:
        """Numbers by name, as `{"bytes_per_second": 1000000}`; null is no limit."""
        wish = await read_wish(request)
        for name, value in wish.items():
            if name not in self.state.settings:
                known = ", ".join(self.state.settings)
                raise refuse_wish(f"Unknown setting {name!r}; known are {known}.")
            if not (value is None or isinstance(value, (int, float))):
                raise refuse_wish(f"{value!r} for {name} is no number.")
        for name, value in wish.items():
            setattr(self.state, name, value)
        return await self.show(request)


async def read_wish(request: web.Request) -> dict[str, Any]:
    try:
        wish = await request.json()
    except ValueError:
        raise refuse_wish("The body is not JSON.") from None
    if not isinstance(wish, dict):
        raise refuse_wish("The body must be a JSON object.")
    return wish


def refuse_wish(reason: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(
        text=json.dumps({"error": reason}), content_type="application/json"
    )
