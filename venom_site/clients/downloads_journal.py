"""What is remembered on the disk of a half file, so that any death costs little.

A killed process loses nothing it wrote: the page cache is the kernel's. So the journal
is written in place after every few hundred kB without fsync, into two slots in turn,
and holds good as long as the machine has not started again (its boot id). What a lost
machine leaves is what was synced: that is sealed, atomically and durably, every few
seconds after the bytes themselves were synced. Both lie in the state folder.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from venom_site.clients.downloads_spans import Spans

SLOT_BYTES = 16384
MOST_SPANS = 256  # fit a slot; there are about as many as connections
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """This start of the machine; empty where it cannot be told apart from others."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What lies there of a file, and of which one."""

    path: str
    digest: str  # as promised, "" for none
    size: int | None
    tag: str  # the ETag it had
    written: Spans

    def is_of(self, path: str, digest: str, size: int | None) -> bool:
        is_size = size is None or self.size is None or size == self.size
        return (self.path, self.digest) == (path, digest) and is_size


class Journal:
    """The two memories of one half file: `KEY.journal` and `KEY.sealed`."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / f"{key}.journal"
        self._sealed = folder / f"{key}.sealed"
        self._fd = -1
        self._turn = 0

    def load(self) -> Noted | None:
        """What can be relied upon: the journal of this boot, else what was sealed."""
        turn, noted = newest(self._path)
        self._turn = turn
        return noted or sealed(self._sealed)

    def note(self, noted: Noted) -> None:
        """Costs about ten microseconds; survives a kill."""
        if self._fd < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
        self._turn += 1
        record = _packed(noted, turn=self._turn, boot=boot_id())
        os.pwrite(self._fd, record, self._turn % 2 * SLOT_BYTES)

    def seal(self, noted: Noted) -> None:
        """Survives a power loss. The bytes must have been synced before."""
        fresh = self._sealed.with_suffix(".fresh")
        with fresh.open("wb") as file:
            file.write(_packed(noted))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._sealed)

    def forget(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)
        self._sealed.unlink(missing_ok=True)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def newest(path: Path) -> tuple[int, Noted | None]:
    """The later of two slots that is whole and of this boot, with its number."""
    best: tuple[int, Noted | None] = (0, None)
    with suppress(OSError):
        raw = path.read_bytes()
        for slot in (raw[:SLOT_BYTES], raw[SLOT_BYTES:]):
            fields = _unpacked(slot)
            if fields and fields.get("turn", 0) > best[0]:
                is_ours = bool(boot_id()) and fields.get("boot") == boot_id()
                best = fields["turn"], _noted(fields) if is_ours else None
    return best


def sealed(path: Path) -> Noted | None:
    with suppress(OSError):
        if fields := _unpacked(path.read_bytes()):
            return _noted(fields)
    return None


def half_files(folder: Path) -> Iterator[Noted]:
    """What every half file of a state folder holds."""
    keys = {path.stem for path in folder.glob("*.journal")}
    keys |= {path.stem for path in folder.glob("*.sealed")}
    for key in sorted(keys):
        noted = Journal(folder, key).load()
        if noted is not None and (folder / f"{key}.part").exists():
            yield noted


def _packed(noted: Noted, **more: Any) -> bytes:
    fields = {
        "path": noted.path,
        "digest": noted.digest,
        "size": noted.size,
        "tag": noted.tag,
        "written": noted.written[:MOST_SPANS],
        **more,
    }
    text = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _unpacked(raw: bytes) -> dict[str, Any] | None:
    """The fields of a record; None for a torn or empty one."""
    line, newline, _ = raw.partition(b"\n")
    check, _, text = line.partition(b" ")
    if not newline or check != b"%08x" % zlib.crc32(text):
        return None
    fields = json.loads(text)
    return fields if isinstance(fields, dict) else None


def _noted(fields: dict[str, Any]) -> Noted:
    return Noted(
        path=fields["path"],
        digest=fields["digest"],
        size=fields["size"],
        tag=fields["tag"],
        written=tuple((int(start), int(end)) for start, end in fields["written"]),
    )
