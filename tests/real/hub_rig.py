"""A real peer of the Hugging Face Hub: olah, a mirror by others, over folders of ours.

    python -m tests.real.hub_rig             143 MB in build/rigs

`VENOM_HUB_RIG` names another folder. Without a rig the tests that want one are skipped.
Offline it serves git repositories of this machine and asks nobody; it has no lists, no
sizes of files and no big files (0.5.4, seen).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.fakes.server import listen
from tests.fakes.tiny_model import tiny_files

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION = "0.5.4"
REPO = "rigs/tiny-llama"
START_SECONDS, STOP_SECONDS = 60, 10
SETTINGS = """[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{folder}/cache"
mirrors-path = ["{folder}/mirrors"]
[accessibility]
offline = true
"""
GIT = ("git", "-c", "user.name=rig", "-c", "user.email=rig@localhost")


def rig() -> Path:
    return Path(os.environ.get("VENOM_HUB_RIG", CHECKOUT / "build" / "rigs"))


def program_of(folder: Path) -> Path:
    return folder / "hub-venv" / "bin" / "olah-cli"


def is_installed(folder: Path) -> bool:
    return program_of(folder).exists()


def install(folder: Path) -> None:
    """An environment of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    venv = folder / "hub-venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, f"olah=={VERSION}"], check=True)


class RealHub:
    """The server as a child process, with the tiny model under `rigs/tiny-llama`."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._program, self._scratch = program_of(folder), scratch
        self._process: subprocess.Popen[bytes] | None = None
        with listen(0) as taken:
            self._port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return once it answers; raises RuntimeError with its last words."""
        self._write_model()
        settings = self._scratch / "olah.toml"
        settings.write_text(SETTINGS.format(port=self._port, folder=self._scratch))
        log = self._scratch / "log"
        words = [str(self._program), "--config", str(settings), "--log-path"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*words, str(self._scratch / "logs")],
                cwd=self._scratch,
                env={"PATH": os.environ["PATH"], "HOME": str(self._scratch)},
                stdout=out,
                stderr=out,
            )
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.url, trust_env=False)
                return
            time.sleep(0.2)
        raise RuntimeError(f"The hub did not start:\n{log.read_text()[-4000:]}")

    def stop(self) -> None:
        """Does nothing when it is gone."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write_model(self) -> None:
        folder = self._scratch / "mirrors" / "models" / REPO
        folder.mkdir(parents=True)
        for path, content in tiny_files().items():
            (folder / path).write_bytes(content)
        card = "---\nlicense: mit\n---\n# A tiny model\n"
        (folder / "README.md").write_text(card)
        steps = "init -q -b main", "add -A", "commit -q -m first"
        for step in steps:
            subprocess.run([*GIT, *step.split()], cwd=folder, check=True)


if __name__ == "__main__":
    install(rig())
