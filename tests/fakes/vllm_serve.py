"""A practice vLLM as a program: its command line, its processes, its ways to fail.

    python -m tests.fakes.vllm_serve serve MODEL --served-model-name a --port 8001

The parent serves what `openai_compatible.py` serves; a child in the same session plays
the engine and holds the memory. It loads nothing: a MODEL that is an absolute path must
be there, as for the real one, and a `config.json` in it bounds the context. What goes
wrong is said by PRACTICE_VLLM, see `vllm_tricks.py`.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.vllm_tricks import (
    CAUSES,
    Tricks,
    context_too_long,
    missing_folder,
    read_tricks,
)

if TYPE_CHECKING:
    from tests.fakes.openai_state import OpenAIState
    from tests.fakes.server import PracticeServer

ENGINE = Path(__file__).with_name("vllm_engine.py")
VERSION = "0.32.0"
DEFAULT_CONTEXT = 4096
LOOK_SECONDS = 0.02
AFTER_THE_ENGINE_SECONDS = 0.3  # the real one waits 4 to 6
WITH_VALUE = (
    *("--host", "--dtype", "--quantization", "--kv-cache-dtype", "--chat-template"),
    *("--gpu-memory-utilization", "--tensor-parallel-size", "--max-num-seqs"),
    *("--max-num-batched-tokens", "--shutdown-timeout", "--tool-call-parser"),
    *("--reasoning-parser", "--download-dir", "--revision", "--tokenizer", "--seed"),
    *("--generation-config", "--load-format", "--cpu-offload-gb", "--hf-overrides"),
    *("--disable-access-log-for-endpoints", "--chat-template-content-format"),
)
SWITCHES = (
    *("--enforce-eager", "--trust-remote-code", "--enable-auto-tool-choice"),
    *("--enable-sleep-mode", "--disable-uvicorn-access-log", "--enable-lora"),
    *("--enable-prefix-caching", "--no-enable-prefix-caching"),
)


def main() -> int:
    chosen = _read_command_line()
    return Program(chosen, read_tricks()).run()


def _read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = parser.add_subparsers(required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag", nargs="?")
    serve.add_argument("--model", default="practice/practice-7b")
    serve.add_argument("--served-model-name", nargs="+", default=[])
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--max-model-len", type=_length)
    serve.add_argument("--api-key", nargs="+", default=[])
    for name in WITH_VALUE:
        serve.add_argument(name)
    for name in SWITCHES:
        serve.add_argument(name, action="store_true")
    chosen = parser.parse_args()
    chosen.model = chosen.model_tag or chosen.model
    return chosen


def _length(text: str) -> int:
    """`8k` is 8000 and `8K` 8192, as there."""
    units = {"k": 1000, "K": 1024}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)


class Program:
    def __init__(self, chosen: argparse.Namespace, tricks: Tricks) -> None:
        self.chosen, self.tricks = chosen, tricks
        self.stop_wishes = 0
        self.is_ready = False
        self.engine: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        self._say(f"INFO vLLM API server version {VERSION}")
        listener = self._bind()
        if listener is None or not self._model_is_good():
            return 1
        self.engine = self._start_engine()
        if not self._load():
            return self._end(1)
        return self._serve(listener)

    def _on_stop(self, *_: object) -> None:
        self.stop_wishes += 1
        if not self.is_ready and not self._is_deaf():
            # While it imports nothing is there that could end in order.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._kill_engine()
            os.kill(os.getpid(), signal.SIGTERM)

    def _is_deaf(self) -> bool:
        return self.tricks.ignore_sigterm or (
            bool(self.tricks.lose_sigterm) and self.stop_wishes == 1
        )

    def _bind(self) -> socket.socket | None:
        """The port is taken before the model loads, and does not listen until then."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", self.chosen.port))
        except OSError as error:
            _print("Traceback (most recent call last):")
            _print(f"OSError: [Errno {error.errno}] {os.strerror(error.errno or 0)}")
            held.close()
            return None
        return held

    def _model_is_good(self) -> bool:
        folder = Path(self.chosen.model)
        if not folder.is_absolute():
            return True
        if not folder.is_dir():
            _print(missing_folder(self.chosen.model))
            return False
        longest = _longest_context(folder)
        wanted = self.chosen.max_model_len or 0
        if longest and wanted > longest:
            _print(
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for"
            )
            _print(f"  Value error, {context_too_long(wanted, longest)}")
            return False
        return True

    def _start_engine(self) -> "subprocess.Popen[bytes]":
        tricks = self.tricks
        deaf = -1 if tricks.ignore_sigterm else 1 if tricks.lose_sigterm else 0
        dies = tricks.engine_dies_after
        words = [
            *(str(tricks.memory_mb), str(dies + tricks.start_seconds if dies else 0)),
            *(str(int(tricks.leave_engine)), str(deaf)),
        ]
        return subprocess.Popen(
            ["VLLM::EngineCore", "-I", "-S", str(ENGINE), *words],
            executable=sys.executable,
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
            stdin=subprocess.PIPE,
            process_group=0 if tricks.new_group else None,
        )

    def _load(self) -> bool:
        """Whether it came up; a stop wished while it loads is lost or ends it."""
        assert self.engine is not None
        ends = time.monotonic() + self.tricks.start_seconds
        while time.monotonic() < ends or self._hangs():
            if self.engine.poll() is not None:
                self._say_engine("RuntimeError: Engine process died while it started.")
                return False
            time.sleep(LOOK_SECONDS)
        if self.tricks.fail:
            self._say_engine(CAUSES[self.tricks.fail])
            return False
        return True

    def _hangs(self) -> bool:
        return self.tricks.lose_sigterm == "hang" and self.stop_wishes > 0

    def _serve(self, listener: socket.socket) -> int:
        server = self._server()
        lost = self.stop_wishes
        listener.listen(512)
        server.start(listener)
        self.is_ready = True
        self._say(f"INFO Starting vLLM server on {server.url}")
        _print("INFO:     Application startup complete.")
        if self.tricks.noise:
            self._say("ERROR Traceback (most recent call last):")
            self._say("ERROR json.decoder.JSONDecodeError: Expecting value: line 1")
        return self._watch(server, lost)

    def _server(self) -> "PracticeServer[OpenAIState]":
        # Imported as late as this: what fails before costs no second.
        from tests.fakes.openai_compatible import build_openai_compatible
        from tests.fakes.openai_state import OpenAIState
        from tests.fakes.server import PracticeServer

        chosen, tricks = self.chosen, self.tricks
        keys = [*chosen.api_key, os.environ.get("VLLM_API_KEY")]
        names = tricks.served_names or chosen.served_model_name or [chosen.model]
        state = OpenAIState(
            version=VERSION,
            served=list(names),
            root=tricks.root or chosen.model,
            api_key=keys[0] or None,
            max_model_len=chosen.max_model_len or DEFAULT_CONTEXT,
            answer_tokens=4,
        )
        if tricks.freeze:
            for path in ("/v1/chat/completions", "/v1/completions"):
                state.faults.plan(path, "stall_before_first_byte", times=0)
        return PracticeServer(build_openai_compatible, state, chosen.port)

    def _watch(self, server: "PracticeServer[OpenAIState]", lost: int) -> int:
        """Until it is stopped or the engine dies; both end with the same code 0."""
        assert self.engine is not None
        while self.tricks.ignore_sigterm or self.stop_wishes <= lost:
            if self.engine.poll() is not None:
                time.sleep(LOOK_SECONDS)  # a signal to the group reaches it first
                if self.stop_wishes > lost:
                    continue
                server.state.is_healthy = False
                self._say_engine("RuntimeError: The engine of the practice vLLM died.")
                time.sleep(AFTER_THE_ENGINE_SECONDS)
                return self._end(self.tricks.exit_code)
            time.sleep(LOOK_SECONDS)
        self._say("INFO [shutdown] API server: shutdown triggered")
        time.sleep(self.tricks.stop_seconds)
        return self._end(0)

    def _end(self, code: int) -> int:
        self._kill_engine()
        _print("INFO:     Application shutdown complete.")
        sys.stdout.flush()
        os._exit(code)  # open streams are cut, as when a process dies

    def _kill_engine(self) -> None:
        if self.engine is not None and self.engine.poll() is None:
            self.engine.kill()
            self.engine.wait(10)

    def _say(self, text: str) -> None:
        _print(f"(APIServer pid={os.getpid()}) {text}")

    def _say_engine(self, cause: str) -> None:
        """The block of the cause, and the useless line that stands below it."""
        pid = self.engine.pid if self.engine else 0
        head = f"(EngineCore pid={pid}) ERROR 11-21 10:00:00 [core.py:900]"
        _print(f"{head} EngineCore failed to start.")
        _print(f"{head} Traceback (most recent call last):")
        _print(f'{head}   File "core.py", line 891, in run_engine_core')
        _print(f"{head} {cause}")
        self._say("Traceback (most recent call last):")
        self._say(
            "RuntimeError: Engine core initialization failed. See root cause above. "
            "Failed core proc(s): {}"
        )


def _longest_context(folder: Path) -> int:
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return int(told.get("max_position_embeddings", 0))
    except (OSError, ValueError):
        return 0


def _print(line: str) -> None:
    """The real one logs by `logging`, which goes on where a line cannot be written."""
    with suppress(OSError):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
