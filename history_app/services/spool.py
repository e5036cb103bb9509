"""Rows on disk while the database is away: `<data>/spool/*.jsonl`.

One file per process and absence, one storable row a line. Its writer holds a lock on
it, which ends with the process however that ends; who reads holds it as well, so no
file is read by two, and a reader that dies leaves it to the next. Reading a file twice
would change nothing: see `batches`.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from io import FileIO
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.conf import settings

from history_app.services import batches, locked_files
from history_app.services.row_values import COLUMN_NAMES, Row, storable
from venom_site.lib.ids import uuid7

logger = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024 * 1024
_SUFFIX = ".jsonl"


class Spool:
    """The file of this process; there is none until the first row."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: FileIO | None = None

    def append(self, rows: list[Row]) -> None:
        """All of them or, with an OSError, none."""
        lines = b"".join(_line(storable(row)) for row in rows)
        with self._lock:
            if self._file is None:
                self._file = locked_files.create(_folder() / f"{uuid7()}{_SUFFIX}")
            size = os.fstat(self._file.fileno()).st_size
            if size + len(lines) > MOST_BYTES:
                raise OSError(errno.EFBIG, "the spool is full")
            _append_whole(self._file, lines, size)

    def release(self) -> bool:
        """Leave what was written to readers; whether there is something."""
        with self._lock:
            if self._file is None:
                return False
            self._file.close()
            self._file = None
            return True


def replay() -> int:
    """Write every row of files that nobody holds into the database; how many.

    Raises what the database raises: the file then stays for the next who tries.
    """
    return sum(_replay_file(path) for path in sorted(_folder().glob(f"*{_SUFFIX}")))


def _replay_file(path: Path) -> int:
    count = 0
    with locked_files.taken_over(path) as file:
        if file is None:
            return 0
        lines = iter(file)
        while chunk := list(islice(lines, batches.BATCH_ROWS)):
            rows = list(_rows(chunk))
            batches.write_storable(rows)
            count += len(rows)
        path.unlink()
    logger.info("spooled history read back rows=%s", count)
    return count


def _rows(lines: list[bytes]) -> Iterator[Row]:
    """Without the last line of a process that was killed while it wrote."""
    for line in lines:
        try:
            found: Row = json.loads(line)
            # Another version of us may have had other columns.
            row = {name: found[name] for name in COLUMN_NAMES if name in found}
            row["id"] = UUID(row["id"])
            for name in ("created_at", "touched_at", "finished_at"):
                row[name] = row[name] and datetime.fromisoformat(row[name])
        except (ValueError, KeyError, TypeError):
            logger.error("unreadable line in the spool bytes=%s", len(line))
        else:
            yield row


def _line(row: Row) -> bytes:
    return json.dumps(row, default=str).encode() + b"\n"


def _folder() -> Path:
    folder: Path = settings.DATA_DIR / "spool"
    return folder


def _append_whole(file: FileIO, lines: bytes, size: int) -> None:
    """A full disk may take a part: it is cut off again, or it would spoil the next."""
    try:
        written = file.write(lines)
    except OSError:
        written = 0
    if written != len(lines):
        file.truncate(size)
        raise OSError(errno.ENOSPC, "the spool could not be written")
