"""A real llama.cpp server with the tiny model, out of the package `xllamacpp`.

    python -m tests.real.llama_server --port 8002

The HTTP surface is llama.cpp's own; the process around it is this file's, so
how a llama-server dies must not be concluded from it.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

from tests.fakes.server import PARENT_PIPE, watch_parent

MODEL = "tiny-practice"
CONTEXT = 8192  # tokens for each of its slots
START_SECONDS = 120  # two on a machine with nothing else to do
STOP_SECONDS = 10
CHECKOUT = Path(__file__).resolve().parents[2]


class RealLlamaServer:
    """The server as a child process that ends with us, even if we are killed."""

    model = MODEL
    context = CONTEXT

    def __init__(self, port: int = 0, *options: str) -> None:
        self.url = ""
        self._port = port
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._parent_pipe: int | None = None

    def start(self) -> None:
        """Start and return once it answers; raises RuntimeError with its last words."""
        theirs, self._parent_pipe = os.pipe()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    __name__,
                    "--port",
                    str(self._port),
                    *self._options,
                ],
                cwd=CHECKOUT,
                env={**os.environ, PARENT_PIPE: str(theirs)},
                pass_fds=(theirs,),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            os.close(theirs)
            self.url = _first_line(self._process)
            if not self.url:
                self.stop()
                log.seek(0)
                raise RuntimeError(f"The llama.cpp server did not start:\n{log.read()}")

    def kill(self) -> None:
        """kill -9, as by the machine; `stop` then tidies up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def figure(self, name: str) -> float:
        """One number of its /metrics."""
        with urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        (found,) = [line for line in lines if line.startswith(f"llamacpp:{name} ")]
        return float(found.split()[1])

    def stop(self) -> None:
        """End the process and wait for it. Does nothing when it is stopped."""
        if self._process is None or self._parent_pipe is None:
            return
        os.close(self._parent_pipe)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._parent_pipe = None


def _first_line(process: subprocess.Popen[str]) -> str:
    output: IO[str] | None = process.stdout
    if output is None or not select.select([output], [], [], START_SECONDS)[0]:
        return ""
    return output.readline().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="A real llama.cpp, a tiny model.")
    parser.add_argument("--port", type=int, default=8002, help="0 takes a free one")
    parser.add_argument("--embeddings", action="store_true", help="and nothing else")
    chosen = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch_parent(stop.set)
    with tempfile.TemporaryDirectory(prefix="tiny-gguf-") as folder:
        server = _serve(
            Path(folder) / f"{MODEL}.gguf", chosen.port, embeds=chosen.embeddings
        )
        print(server.listening_address, flush=True)
        stop.wait()
        del server


def _serve(path: Path, port: int, *, embeds: bool) -> Any:
    # Both are test-only packages; who only imports the fixture may lack them.
    import xllamacpp

    from tests.real.tiny_gguf import write_tiny_gguf

    write_tiny_gguf(path, CONTEXT)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {MODEL}
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.n_parallel = 2
    settings.n_ctx = 2 * CONTEXT  # n_ctx is shared among the slots
    settings.cpuparams.n_threads = 1
    settings.offline = True
    settings.embedding = embeds
    if embeds:
        settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    settings.endpoint_metrics = settings.endpoint_slots = True
    return xllamacpp.Server(settings)


if __name__ == "__main__":
    main()
