"""Where files of a download may lie, and whose the folder is meanwhile.

Names come from strangers: none may leave the folder or touch our own state in it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from venom_site.clients.downloads_refused import DownloadRefused, of_disk

STATE = ".venom-download"
LONGEST_NAME, LONGEST_PATH = 240, 1024  # bytes; a suffix of ours still fits


def refuse_unsafe(folder: Path, paths: Iterable[str]) -> None:
    """Raises `unsafe_path` before anything is written."""
    if not _is_folder_or_nothing(folder / STATE):
        raise DownloadRefused("unsafe_path", f"“{STATE}” is not a folder of ours.")
    seen: set[str] = set()
    parents: set[str] = set()
    for path in paths:
        reason = _unsafe_name(path) or _unsafe_place(folder, path)
        if path in seen:
            reason = "is there twice"
        if reason:
            shown = path[:100].encode("unicode_escape").decode()
            raise DownloadRefused("unsafe_path", f"The file name “{shown}” {reason}.")
        seen.add(path)
        parents |= {str(parent) for parent in PurePosixPath(path).parents}
    if both := sorted(seen & parents):
        raise DownloadRefused("unsafe_path", f"“{both[0]}” is a file and a folder.")


def _unsafe_name(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/"):
        return "is not relative to the folder"
    if any(part in ("", ".", "..") for part in parts):
        return "leaves the folder or is not in its plain form"
    if "\\" in path or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "holds a backslash or control characters"
    if parts[0].casefold() == STATE:
        return "is reserved for the state of the download"
    try:
        sizes = [len(os.fsencode(part)) for part in parts]
    except UnicodeEncodeError:
        return "is not valid text"
    is_long = max(sizes) > LONGEST_NAME or sum(sizes) + len(parts) > LONGEST_PATH
    return "is too long" if is_long else ""


def _unsafe_place(folder: Path, path: str) -> str:
    """A link on the way could lead anywhere; a folder cannot become a file."""
    place = folder
    *above, last = path.split("/")
    for part in above:
        place = place / part
        if not _is_folder_or_nothing(place):
            return "leads through a link or a file"
    mode = _mode_of(place / last)
    is_other = mode is not None and not stat.S_ISREG(mode)
    return "stands for a link or a folder already" if is_other else ""


def _is_folder_or_nothing(place: Path) -> bool:
    mode = _mode_of(place)
    return mode is None or stat.S_ISDIR(mode)


def _mode_of(place: Path) -> int | None:
    try:
        return os.lstat(place).st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_disk(error, str(place)) from error


def refuse_without_room(folder: Path, wanted_bytes: int) -> None:
    """Raises `disk_full` before the first byte when the disk cannot hold the rest."""
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if wanted_bytes > free:
        raise DownloadRefused(
            "disk_full",
            f"{wanted_bytes} bytes are still to come and {free} are free on the disk.",
        )


class Lock:
    """One process at a time in a folder; the kernel lets go of it when it dies."""

    def __init__(self, state: Path) -> None:
        self._path = state / "lock"
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._take()
        except OSError as error:
            raise of_disk(error, str(self._path.parent.parent)) from error

    def _take(self) -> None:
        while self._fd < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise DownloadRefused(
                    "busy", "Another process downloads into this folder."
                ) from None
            # Whoever held it before may have removed it when done.
            if self._is_current(fd):
                self._fd = fd
            else:
                os.close(fd)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._fd = -1

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False


def reserve(fd: int, size: int) -> None:
    """Take so many bytes of the disk; raises OSError when it has them not.

    The system call itself: the C library's posix_fallocate fills the file with zeros
    where a file system cannot reserve, which takes hours for 100 GB over NFS.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if call is None:
        return
    failed = call(fd, 0, ctypes.c_int64(0), ctypes.c_int64(size))
    number = ctypes.get_errno() if failed else 0
    if number not in (0, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
        raise OSError(number, os.strerror(number))
