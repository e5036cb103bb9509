"""A practice Hugging Face Hub on loopback: lists, models, trees, files on two origins.

    python -m tests.fakes.huggingface --port 0 --bytes-per-second 20000000

Shapes, headers and refusals are those of the facts sheet, sections 1 to 3 and 10. It
has no Xet (its token exchange goes to another program), no spaces and no datasets.
"""

import argparse

from aiohttp import web

from tests.fakes.control import add_control_routes
from tests.fakes.files import add_signed_routes
from tests.fakes.huggingface_answers import Hub
from tests.fakes.huggingface_state import HubState
from tests.fakes.huggingface_wire import HubDialect, add_rate_limits
from tests.fakes.neighbour import build_application
from tests.fakes.server import run_until_stopped


def build_huggingface(state: HubState) -> web.Application:
    """Return the practice hub over this state as an aiohttp application."""
    app = build_application(state, HubDialect())
    add_rate_limits(app, state)
    hub = Hub(state)
    add_control_routes(app, state)
    add_signed_routes(app, state.desk)
    add = app.router.add_get
    add("/api/models", hub.models)
    add("/api/models/{tail:.+}", hub.model)
    add("/api/whoami-v2", hub.whoami)
    add("/api/resolve-cache/models/{tail:.+}", hub.cached_file)
    add("/{tail:.+/resolve/.+}", hub.file)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A practice hub on loopback.")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument("--bytes-per-second", type=float, default=0)
    chosen = parser.parse_args()
    state = HubState()
    state.bytes_per_second = chosen.bytes_per_second
    run_until_stopped(
        [(build_huggingface(state), chosen.port)],
        lambda urls: print("practice hub listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
