"""Which processes serve requests: `<data>/lives/<number>` while one lives.

Each row says its process's number. Whoever starts, and the watchdog, looks for files
whose owner has ended and gives up what it left running.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from history_app.services import locked_files

logger = logging.getLogger(__name__)

# Of this process, from its start to its end.
PROCESS = secrets.randbits(62)
_held: dict[Path, int] = {}  # descriptors, which nothing closes


def hold() -> None:
    """Say that this process lives. A disk that takes no file is no reason not to
    serve: its rows are then given up when they have been silent for long."""
    path = _folder() / str(PROCESS)
    if path in _held:
        return
    try:
        with locked_files.create(path) as file:
            _held[path] = os.dup(file.fileno())
    except OSError as error:
        logger.warning("process not noted %s", error)


def bury(give_up: Callable[[int], int]) -> int:
    """Call `give_up` with the number of each process that has ended, once; the sum.

    Raises what it raises: the file then stays for the next who looks.
    """
    paths = [path for path in _folder().glob("*") if path.name.isdecimal()]
    return sum(_bury(path, give_up) for path in paths if path not in _held)


def _bury(path: Path, give_up: Callable[[int], int]) -> int:
    with locked_files.taken_over(path) as file:
        if file is None:
            return 0
        count = give_up(int(path.name))
        path.unlink()
        return count


def _folder() -> Path:
    folder: Path = settings.DATA_DIR / "lives"
    return folder
