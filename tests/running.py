"""The whole product as `manage.py up` runs it, in a folder and on a port of its own.

For journeys and measurements that kill its processes. Knows processes by id only and
ends only what it started. Which kind of database and broker it uses is DATABASE_URL's
and REDIS_URL's choice, as for a user; on PostgreSQL each has a database of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import httpx
import psutil

from tests.own_database import own_database

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("uvicorn", "worker", "beat")


class House:
    """`manage.py up` and its children; `with House() as house: …`.

    `House("--demo")` has the practice neighbours beside it.
    """

    start_seconds: float = 60  # more where a test shares the machine with much else

    def __init__(self, *options: str) -> None:
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="venom-house-")
        self.folder = self._folder.name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "VENOM_DATA_DIR": self.folder,
            "VENOM_PORT": str(self.port),
            "VENOM_SKIP_BOOTSTRAP": "1",
            "OLLAMA_BASE_URL": "http://127.0.0.1:9",
            "OLLAMA_REGISTRY_URL": "http://127.0.0.1:9",
        }
        self.log = Path(self.folder) / "up.log"
        self._supervisor: psutil.Process | None = None
        self._seen: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as parts:
            parts.callback(self._folder.cleanup)
            database = parts.enter_context(own_database(f"house_{self.port}"))
            if database and "DATABASE_URL" in self.environment:
                self.environment["DATABASE_URL"] = database
            self.start()
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._parts.close()

    def start(self) -> None:
        """As `make run` does; returns when the web process answers."""
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "manage.py", "up", *self._options],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._child = child
        self._supervisor = psutil.Process(child.pid)
        try:
            self.wait_for_web()
        except AssertionError:
            self.stop()
            raise
        self.look()

    def wait_for_web(self, seconds: float | None = None) -> None:
        ends = time.monotonic() + (seconds or self.start_seconds)
        while time.monotonic() < ends and self._child.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/healthz", trust_env=False).is_success:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the web did not answer\n{self.log.read_text()}")

    def manage(self, *words: str) -> str:
        """The output of a command of the product."""
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, check=True
        )
        return done.stdout.decode()

    def client(self, *scopes: str) -> httpx.Client:
        """A program with a key of these scopes; without any it may operate."""
        words = ["create_api_key", f"key-{time.time_ns()}", "--json"]
        words += [f"--scope={scope}" for scope in scopes or ("operate",)]
        key = json.loads(self.manage(*words))["key"]
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=10,
        )

    def look(self) -> set[psutil.Process]:
        """All processes of the house that live now; also remembers them."""
        found: set[psutil.Process] = set()
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._supervisor is not None:
                below = self._supervisor.children(recursive=True)
                found = {self._supervisor, *below}
        self._seen |= found
        return found

    def process(self, role: str, seconds: float = 30) -> psutil.Process:
        """The living process of that role: supervisor, uvicorn, worker or beat."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for process in self.look():
                with contextlib.suppress(psutil.Error):
                    if role in process.cmdline() or (
                        role == "supervisor" and process == self._supervisor
                    ):
                        return process
            time.sleep(0.05)
        raise AssertionError(f"no {role} came\n{self.log.read_text()}")

    def kill(self, role: str) -> None:
        """kill -9; a killed supervisor is started again, as a person would."""
        self.process(role).kill()
        if role == "supervisor":
            self._child.wait(10)
            self._wait_until_gone(15)
            self.start()

    def stop(self) -> list[psutil.Process]:
        """Ctrl-C; returns what is still there afterwards, which must be nothing."""
        self.look()
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(15)
        left = self._wait_until_gone(10)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return left

    def _wait_until_gone(self, seconds: float) -> list[psutil.Process]:
        """A process that vanished between two looks is known by its session too."""
        ends = time.monotonic() + seconds
        while (left := [*filter(_lives, self._seen)]) and time.monotonic() < ends:
            time.sleep(0.05)
        return left


def _lives(process: psutil.Process) -> bool:
    """Looked at, not waited for: a process that was just reaped makes psutil's wait
    fail on kernels that answer ENOENT for it."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
