"""Both practice neighbours in one process, for `make demo` and `up --demo`.

    python -m tests.fakes.demo --ports-file PATH [--ollama-port N]

The file appears whole, once both listen, and is gone when they are: a JSON
object of the environment variables that lead Venom to them. Only SIGKILL leaves
it behind, so whoever starts the demo removes an old one first.
"""

import argparse
import json
from pathlib import Path

from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.openai_compatible import build_openai_compatible
from tests.fakes.openai_state import OpenAIState
from tests.fakes.server import run_until_stopped

OLLAMA_MODELS = ("gemma3:4b", "qwen3:0.6b", "phi3:mini")
TOKENS_PER_SECOND = 40


def write_ports(path: Path, ollama_url: str, openai_url: str) -> None:
    """Write the file in one step, so that a reader sees all of it or nothing."""
    addresses = {
        "OLLAMA_BASE_URL": ollama_url,
        "VENOM_OPENAI_COMPATIBLE_SERVERS": f"practice={openai_url}/v1",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.new")
    half.write_text(json.dumps(addresses, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="The practice neighbours together.")
    parser.add_argument("--ports-file", type=Path, required=True)
    parser.add_argument("--ollama-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    chosen = parser.parse_args()
    ollama, openai = make_state(OLLAMA_MODELS), OpenAIState()
    for state in (ollama, openai):
        state.tokens_per_second = chosen.tokens_per_second
    try:
        run_until_stopped(
            [
                (build_ollama(ollama), chosen.ollama_port),
                (build_openai_compatible(openai), 0),
            ],
            lambda urls: write_ports(chosen.ports_file, *urls),
        )
    finally:
        chosen.ports_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
