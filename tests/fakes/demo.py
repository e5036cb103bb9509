"""The practice neighbours in one process, for `make demo` and `up --demo`.

    python -m tests.fakes.demo --ports-file PATH [--ollama-port N]

Their ports follow from PATH, so that a house finds its neighbours again where they
were. The file appears whole, once all listen, and is gone when they are: a JSON
object of the environment variables that lead Venom to them. Only SIGKILL leaves
it behind, so whoever starts the demo removes an old one first.
"""

import argparse
import json
import zlib
from pathlib import Path

from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import listen, run_until_stopped

OLLAMA_MODELS = ("gemma3:4b", "qwen3:0.6b", "phi3:mini")
VLLM_MODEL = "google/gemma-3-4b-it"
TOKENS_PER_SECOND = 40
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


def write_ports(path: Path, ollama_url: str, openai_url: str, vllm_url: str) -> None:
    """Write the file in one step, so that a reader sees all of it or nothing."""
    addresses = {
        "OLLAMA_BASE_URL": ollama_url,
        "VLLM_ENDPOINT": f"{vllm_url}/v1",
        "VENOM_OPENAI_COMPATIBLE_SERVERS": f"practice={openai_url}/v1",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.new")
    half.write_text(json.dumps(addresses, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="The practice neighbours together.")
    parser.add_argument("--ports-file", type=Path, required=True)
    parser.add_argument("--ollama-port", type=int, help="instead of the usual one")
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    chosen = parser.parse_args()
    path: Path = chosen.ports_file
    ollama, openai = make_state(OLLAMA_MODELS), OpenAIState()
    vllm = OpenAIState(served=[VLLM_MODEL])
    for state in (ollama, openai, vllm):
        state.tokens_per_second = chosen.tokens_per_second
    try:
        run_until_stopped(
            [
                (build_ollama(ollama), chosen.ollama_port or usual_port(path, 0)),
                (build_openai_compatible(openai), usual_port(path, 1)),
                (build_openai_compatible(vllm), usual_port(path, 2)),
            ],
            lambda urls: write_ports(path, *urls),
        )
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
