"""A practice Ollama on loopback, for tests and demos.

    python -m tests.fakes.ollama --port 0 --tokens-per-second 40 \\
        --models gemma3:4b,phi3:mini

Its shapes come from what was seen of the real server and from nothing
it could think up itself; README.md here says what it leaves out.
"""

import argparse
from pathlib import Path

from aiohttp import web

from tests.fakes import ollama_disk
from tests.fakes.control import add_control_routes
from tests.fakes.neighbour import build_application
from tests.fakes.ollama_door import add_library_routes, add_side_entrance
from tests.fakes.ollama_generate import Generator
from tests.fakes.ollama_pull import Puller
from tests.fakes.ollama_state import OllamaState
from tests.fakes.ollama_store import Store
from tests.fakes.ollama_v1 import OpenAISide
from tests.fakes.ollama_wire import OllamaDialect
from tests.fakes.server import run_until_stopped

TICK_SECONDS = 0.06  # between two lines of a pull, as the real one has it
DEFAULT_MODELS = ("gemma3:4b", "phi3:mini")


def make_state(models: tuple[str, ...] = DEFAULT_MODELS) -> OllamaState:
    """Return a state in which these models are installed, the first the newest."""
    state = OllamaState()
    for name in reversed(models):
        state.add_model(name)
    return state


def build_ollama(state: OllamaState) -> web.Application:
    """Return the practice Ollama over this state as an aiohttp application."""
    app = build_application(state, OllamaDialect())
    store, puller, generator = Store(state), Puller(state), Generator(state)
    openai_side = OpenAISide(state)
    add = app.router
    add.add_get("/", store.root)
    add.add_get("/api/version", store.version)
    add.add_get("/api/status", store.status, allow_head=False)
    add.add_get("/api/tags", store.tags)
    add.add_get("/api/ps", store.ps, allow_head=False)
    add.add_post("/api/show", store.show)
    add.add_post("/api/pull", puller.pull)
    add.add_delete("/api/delete", store.delete)
    add.add_post("/api/chat", generator.chat)
    add.add_post("/api/generate", generator.generate)
    add.add_post("/api/embed", generator.embed)
    add.add_get("/v1/models", openai_side.models, allow_head=False)
    add.add_get("/v1/models/{name:.+}", openai_side.model, allow_head=False)
    add.add_post("/v1/chat/completions", openai_side.chat)
    add.add_post("/v1/completions", openai_side.completions)
    add.add_post("/v1/embeddings", openai_side.embeddings)
    add_control_routes(app, state)
    add_library_routes(app, state.library)
    add_side_entrance(app, store, puller)
    return app


def keep_on_disk(app: web.Application, state: OllamaState, path: Path) -> None:
    """Begin with what the file has, if there is one, and write it at the end."""
    ollama_disk.load(state, path)

    async def save(_: web.Application) -> None:
        ollama_disk.save(state, path)

    app.on_cleanup.append(save)


def main() -> None:
    parser = argparse.ArgumentParser(description="A practice Ollama on loopback.")
    parser.add_argument("--port", type=int, default=11434, help="0 takes a free one")
    parser.add_argument("--tokens-per-second", type=float, default=40)
    parser.add_argument("--answer-tokens", type=int, help="default: by the prompt")
    parser.add_argument("--load-seconds", type=float, default=0)
    parser.add_argument("--models", default=",".join(DEFAULT_MODELS))
    parser.add_argument("--version", default="0.33.0", help="the version it claims")
    parser.add_argument("--bytes-per-second", type=float, default=0, help="of pulls")
    parser.add_argument("--no-prune", action="store_true", help="as OLLAMA_NOPRUNE=1")
    parser.add_argument("--disk", type=Path, help="a file that outlives this program")
    chosen = parser.parse_args()
    state = make_state(tuple(filter(None, chosen.models.split(","))))
    state.version = chosen.version
    state.tokens_per_second = chosen.tokens_per_second
    state.answer_tokens = chosen.answer_tokens
    state.load_seconds = chosen.load_seconds
    state.bytes_per_second = chosen.bytes_per_second
    state.tick_seconds = TICK_SECONDS
    state.no_prune = chosen.no_prune
    app = build_ollama(state)
    if chosen.disk:
        keep_on_disk(app, state, chosen.disk)
    run_until_stopped(
        [(app, chosen.port)],
        lambda urls: print("practice Ollama listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
