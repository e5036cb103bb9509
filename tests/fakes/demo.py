"""The practice neighbours in one process, for `make demo` and `up --demo`.

    python -m tests.fakes.demo --ports-file PATH [--keep PATH] [--ollama-port N]

The file appears whole, once all listen, and is gone when they are: a JSON
object of the environment variables that lead Venom to them. Only SIGKILL leaves
it behind, so whoever starts the demo removes an old one first. With `--keep` the ports
are the same at the next start, where they are free: addresses live on in a database.
"""

import argparse
import json
import socket
from pathlib import Path

from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import run_until_stopped

OLLAMA_MODELS = ("gemma3:4b", "qwen3:0.6b", "phi3:mini")
VLLM_MODEL = "google/gemma-3-4b-it"
TOKENS_PER_SECOND = 40
Ports = tuple[int, int, int]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def kept_ports(path: Path | None) -> Ports:
    """The ports of the last start that are free now; 0 means any."""
    try:
        found = json.loads(path.read_text()) if path else []
        first, second, third = (int(port) for port in found)
    except (OSError, ValueError, TypeError):
        return 0, 0, 0
    ports = (first, second, third)
    return ports if all(map(is_free, ports)) else (0, 0, 0)


def write_ports(path: Path, keep: Path | None, urls: tuple[str, str, str]) -> None:
    """Write the file in one step, so that a reader sees all of it or nothing."""
    ollama_url, openai_url, vllm_url = urls
    addresses = {
        "OLLAMA_BASE_URL": ollama_url,
        "VLLM_ENDPOINT": f"{vllm_url}/v1",
        "VENOM_OPENAI_COMPATIBLE_SERVERS": f"practice={openai_url}/v1",
    }
    if keep:
        keep.write_text(json.dumps([int(url.rpartition(":")[2]) for url in urls]))
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.new")
    half.write_text(json.dumps(addresses, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="The practice neighbours together.")
    parser.add_argument("--ports-file", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="where to remember the ports")
    parser.add_argument("--ollama-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    chosen = parser.parse_args()
    ollama, openai = make_state(OLLAMA_MODELS), OpenAIState()
    vllm = OpenAIState(served=[VLLM_MODEL])
    for state in (ollama, openai, vllm):
        state.tokens_per_second = chosen.tokens_per_second
    first, second, third = kept_ports(chosen.keep)
    chosen.ports_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_until_stopped(
            [
                (build_ollama(ollama), chosen.ollama_port or first),
                (build_openai_compatible(openai), second),
                (build_openai_compatible(vllm), third),
            ],
            lambda urls: write_ports(
                chosen.ports_file, chosen.keep, (urls[0], urls[1], urls[2])
            ),
        )
    finally:
        chosen.ports_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
