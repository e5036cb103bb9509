"""A real vLLM on the processor, out of a rig (`vllm_rig.py`), with a tiny model.

Takes 20 to 30 seconds to start and 3 GB while it runs. Its workers survive a SIGKILL of
the parent, so that signals go to the whole group.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import psutil

from tests.embedded.stand_in import free_port
from tests.real.vllm_rig import model_of, python_of

MODEL = "tiny"
START_SECONDS = 180
STOP_SECONDS = 20
# Also for one that the product starts: its environment, and what makes it small.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
SMALL = ("--max-num-seqs", "8", "--enforce-eager")
CONTEXT_LENGTH, DTYPE = "512", "float32"
_OPTIONS = (
    *("--host", "127.0.0.1", "--max-model-len", CONTEXT_LENGTH),
    *("--dtype", DTYPE, *SMALL),
)


class RealVllm:
    """`scratch` takes its log, its cache and what it leaves in temporary folders."""

    model = MODEL

    def __init__(self, rig: Path, scratch: Path, name: str = "tiny-nosystem") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._rig, self._name, self._scratch = rig, name, scratch
        self._log = scratch / "vllm.log"
        self._members: list[psutil.Process] = []

    def start(self) -> None:
        """Return once it answers; raises RuntimeError with its last words."""
        given = ("--port", self.url.rpartition(":")[2], "--served-model-name", MODEL)
        module = ("-m", "vllm.entrypoints.openai.api_server")
        model = ("--model", str(model_of(self._rig, self._name)))
        places = dict.fromkeys(("TMPDIR", "VLLM_CACHE_ROOT"), str(self._scratch))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["nice", str(python_of(self._rig)), *module, *model, *given, *_OPTIONS],
                env={"PATH": os.environ["PATH"], **QUIET, **places},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_healthy()
        except RuntimeError:
            self.stop()
            raise

    def terminate(self) -> None:
        """Ask the parent to stop; it ends its workers itself."""
        self._process.terminate()

    def kill(self) -> None:
        """kill -9, it and all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it and see that nothing of it is left. Does nothing when it is gone."""
        self._look()
        self.terminate()
        _gone, left = psutil.wait_procs(self._members, timeout=STOP_SECONDS)
        if left:
            self.kill()
            psutil.wait_procs(left, timeout=STOP_SECONDS)
        self._process.wait()

    def at_work(self) -> float:
        """Sequences that it generates or that wait for it."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        pattern = r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$"
        return sum(float(found) for found in re.findall(pattern, text, re.MULTILINE))

    def _look(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            self._members = [parent, *parent.children(recursive=True)]

    def _wait_until_healthy(self) -> None:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", trust_env=False).is_success:
                    self._look()
                    return
            time.sleep(0.2)
        words = self._log.read_text(errors="replace")[-4000:]
        raise RuntimeError(f"vLLM did not start:\n{words}")
