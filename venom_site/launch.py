"""Becomes a server: reads a launch file, sets the environment, turns core dumps off.

    python -m venom_site.launch FILE [NOTE]

FILE is JSON with `argv` and `environment`. Started by a unit of systemd or by
`clients/server_processes.py`. NOTE is a file that says, before the server begins, which
process it is: so one is known also when its starter dies in the very next moment.
Plain standard library, no other module of ours: it stays what it is until `exec`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

NOT_STARTED = 127  # as shells say it of a command that they cannot find
LEADER_VARIABLE = "VENOM_SERVER_LEADER"
PROC = Path("/proc")


def main(arguments: list[str]) -> NoReturn:
    """Never returns: the process is the server from here, or ends with 127."""
    if not 1 <= len(arguments) <= 2:
        _refuse("it takes a launch file and, at most, where to note the process")
    argv, environment = _read(Path(arguments[0]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _hear_signals()
    whole = {**os.environ, **environment, LEADER_VARIABLE: _itself()}
    if len(arguments) == 2:
        _note(Path(arguments[1]))
    try:
        os.execvpe(argv[0], argv, whole)  # noqa: S606  (argv of a file of ours)
    except (OSError, ValueError) as error:
        _refuse(f"{argv[0]} does not start: {getattr(error, 'strerror', '') or error}")


def _hear_signals() -> None:
    """`exec` would pass on what a starter ignores or blocks: no stop would be heard."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _read(path: Path) -> tuple[list[str], dict[str, str]]:
    try:
        launch: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _refuse(f"{path} cannot be read: {getattr(error, 'strerror', '') or error}")
    found = launch if isinstance(launch, dict) else {}
    argv, environment = found.get("argv"), found.get("environment", {})
    if not (isinstance(argv, list) and argv and _are_texts(argv)):
        _refuse(f"{path} has no list of words under argv")
    if not (isinstance(environment, dict) and _are_texts(environment.values())):
        _refuse(f"{path} has something else than texts under environment")
    return argv, environment


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _itself() -> str:
    """`pid|start`; the start in clock ticks since boot, field 22 of proc(5)."""
    started = ""
    with suppress(OSError, IndexError):
        stat = (PROC / "self/stat").read_text()
        started = stat.rpartition(")")[2].split()[19]
    return f"{os.getpid()}|{started}"


def _machine() -> str:
    """Boot id and pid namespace, as `clients/processes.py` writes them."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{(PROC / 'self/ns/pid').readlink()}"


def _note(path: Path) -> None:
    """A full disk is no reason not to start: the starter knows the process as well."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        draft.write_text(f"{_machine()}|{_itself()}\n", encoding="utf-8")
        draft.replace(path)


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"Error: the server was not started, {reason}.\n")
    sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
