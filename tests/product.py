"""The product in uvicorn as a process of its own, on a data folder of its own.

For tests that kill it, or read what it leaves behind: its database, log and spool.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.embedded.stand_in import ROOT, Running, free_port
from tests.fakes.waiting import wait_until


class Product:
    """`start()` serves; `with product.running: …` ends it."""

    running: Running

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "VENOM_DATA_DIR": str(folder),
            "VENOM_ENV_FILE": os.devnull,
            "VENOM_SKIP_BOOTSTRAP": "1",
            "OLLAMA_BASE_URL": "http://127.0.0.1:9",
            **environment,
        }
        self.manage("prepare")

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def script(self, text: str) -> str:
        """What Python in the product's shell prints."""
        return self.manage("shell", "--no-imports", "-c", text)

    def start(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = f"-m uvicorn venom_site.asgi:application --port {self.port}".split()
        waits = ["--timeout-graceful-shutdown", "4", "--timeout-keep-alive", "75"]
        argv = [sys.executable, *words, *waits, "--log-level", "warning"]
        log = self.folder / "web.log"
        self.running = Running(argv, cwd=ROOT, env=self.environment, log=log)
        wait_until(self._answers, seconds=30)

    def _answers(self) -> bool:
        assert self.running.process.poll() is None, self.running.output
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        return False
