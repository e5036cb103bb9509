"""A practice systemd for one test: its units, its faults, its two programs.

`.path` is the folder to put on PATH. Leaving ends every process that it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fakes.systemd_unit import Place
from tests.fakes.waiting import wait_until

PROGRAM = Path(__file__).with_name("systemd.py")


class PracticeSystemd:
    """`with PracticeSystemd(folder) as systemd: systemd.install("vllm.service", …)`"""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder / "systemd")
        self.path = folder / "systemd" / "bin"
        self.path.mkdir(parents=True)
        for name in ("systemctl", "journalctl"):
            program = self.path / name
            program.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -S "{PROGRAM}" '
                f'"{self.place.folder}" {name} "$@"\n'
            )
            program.chmod(0o755)

    def __enter__(self) -> PracticeSystemd:
        return self

    def __exit__(self, *_: object) -> None:
        for state in self.place.folder.glob("state/*.json"):
            self._end(state.stem)

    def install(self, unit: str, command: str, **service: str) -> None:
        """A unit that runs `command`; directives of [Service] by name."""
        lines = [f"{name}={value}" for name, value in service.items()]
        text = "\n".join(["[Service]", f"ExecStart={command}", *lines, ""])
        self.place.write(self.place.unit(unit), text)

    def remove(self, unit: str) -> None:
        self.place.unit(unit).unlink()

    def fault(self, **faults: Any) -> None:
        """`denied=[verb]`, `masked=[unit]`, `absent=True`, `hang=seconds`,
        `journal="denied"`; without any all is well again."""
        self.place.write(self.place.folder / "faults", json.dumps(faults))

    def state(self, unit: str) -> dict[str, Any]:
        return self.place.read_state(unit)

    def _end(self, unit: str) -> None:
        """First who would start it again, then what it started."""
        for name in ("Manager", "MainPID"):
            if pid := self.state(unit).get(name):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: _is_gone(pid), seconds=20)


def _is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}
