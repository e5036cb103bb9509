"""The practice neighbours in one process, for `make demo` and `up --demo`.

    python -m tests.fakes.demo --ports-file PATH [--ollama-port N]

Their ports follow from PATH, so that a house finds its neighbours again where they
were. The file appears whole, once all listen, and is gone when they are: a JSON
object of the environment variables that lead Venom to them. Only SIGKILL leaves
it behind, so whoever starts the demo removes an old one first.
"""

import argparse
import json
import shlex
import sys
import zlib
from pathlib import Path

from aiohttp import web

from tests.fakes.huggingface import build_huggingface
from tests.fakes.huggingface_state import HubState
from tests.fakes.news import FEED, PAPERS, NewsState, build_news
from tests.fakes.ollama import TICK_SECONDS, build_ollama, make_state
from tests.fakes.ollama_library import LibraryState, build_library
from tests.fakes.ollama_registry import RegistryState, build_registry
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import listen, run_until_stopped

OLLAMA_MODELS = ("gemma3:4b", "qwen3:0.6b", "phi3:mini")
# vLLM is a program that Venom itself starts, with a model that was installed.
VLLM_PROGRAM = (sys.executable, "-m", "tests.fakes.vllm_serve", "serve")
TOKENS_PER_SECOND = 40
BYTES_PER_SECOND = 80_000_000  # slow enough to watch a pull, fast enough to wait for
HUB_IS_SLOWER = 40  # its models are small: 12 MB take six seconds
FIRST_PORT, PORTS = 20_000, 10_000  # below those that systems give away


def usual_port(path: Path, which: int) -> int:
    """The port of this folder's n-th neighbour; 0, any one, while somebody has it."""
    number = zlib.crc32(bytes(path.resolve())) + which
    port = FIRST_PORT + number % PORTS
    try:
        listen(port).close()
    except OSError:
        return 0
    return port


def vllm_variables(port: int) -> dict[str, str]:
    """What lets Venom start the practice vLLM on that port; 0 is any free one."""
    if not port:
        with listen(0) as free:
            port = free.getsockname()[1]
    return {
        "VLLM_ENDPOINT": f"http://127.0.0.1:{port}/v1",
        "VLLM_COMMAND": shlex.join(VLLM_PROGRAM),
    }


def write_ports(path: Path, addresses: dict[str, str]) -> None:
    """Write the file in one step, so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.new")
    half.write_text(json.dumps(addresses, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def addresses_of(variables: list[dict[str, str]], urls: list[str]) -> dict[str, str]:
    """The environment that leads to neighbours at these addresses."""
    return {
        name: form.format(url=url)
        for forms, url in zip(variables, urls, strict=True)
        for name, form in forms.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The practice neighbours together.")
    parser.add_argument("--ports-file", type=Path, required=True)
    parser.add_argument("--ollama-port", type=int, help="instead of the usual one")
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    parser.add_argument("--bytes-per-second", type=float, default=BYTES_PER_SECOND)
    chosen = parser.parse_args()
    path: Path = chosen.ports_file
    ollama, openai = make_state(OLLAMA_MODELS), OpenAIState()
    registry = RegistryState(library=ollama.library)
    library, hub = LibraryState(library=ollama.library), HubState()
    hub.bytes_per_second = chosen.bytes_per_second / HUB_IS_SLOWER
    ollama.bytes_per_second = chosen.bytes_per_second
    ollama.tick_seconds = TICK_SECONDS
    for state in (ollama, openai):
        state.tokens_per_second = chosen.tokens_per_second
    # The order gives each its port: new ones come at the end.
    neighbours: list[tuple[web.Application, dict[str, str]]] = [
        (build_ollama(ollama), {"OLLAMA_BASE_URL": "{url}"}),
        (
            build_openai_compatible(openai),
            {"VENOM_OPENAI_COMPATIBLE_SERVERS": "practice={url}/v1"},
        ),
        (build_registry(registry), {"OLLAMA_REGISTRY_URL": "{url}"}),
        (build_huggingface(hub), {"HF_ENDPOINT": "{url}"}),
        (build_library(library), {"OLLAMA_LIBRARY_URL": "{url}"}),
        (
            build_news(NewsState()),
            {
                "NEWS_BLOG_FEED_URL": f"{{url}}{FEED}",
                "NEWS_PAPERS_URL": f"{{url}}{PAPERS}",
            },
        ),
    ]
    ports = [usual_port(path, which) for which in range(len(neighbours))]
    ports[0] = chosen.ollama_port or ports[0]
    applications = [application for application, _ in neighbours]
    variables = [variables for _, variables in neighbours]
    vllm = vllm_variables(usual_port(path, len(neighbours)))
    try:
        run_until_stopped(
            list(zip(applications, ports, strict=True)),
            lambda urls: write_ports(path, addresses_of(variables, urls) | vllm),
        )
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
