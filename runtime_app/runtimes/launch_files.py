"""The launch file of a server: what its next start becomes, readable by us alone.

`<data>/runtimes/<server>.json`, read by `venom_site.launch` from a unit of systemd or
from a process of ours. Written whole or not at all: who starts by it meanwhile, as
systemd does after a crash, reads the old one or the new one.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from runtime_app.runtimes.control import Launch
from venom_site.lib.errors import WireError


def folder() -> Path:
    return Path(settings.DATA_DIR) / "runtimes"


def launch_file(name: str) -> Path:
    return folder() / f"{name}.json"


def write(name: str, launch: Launch) -> Path:
    """Raises `WireError` when the disk refuses (full, denied). What lies there already,
    and the one before it, need no room: so the way back works on a full disk too."""
    path, text = launch_file(name), _text(launch)
    if _holds(path, text):
        return path
    with _refusals_named(path):
        if _holds(_before(path), text):
            _before(path).replace(path)
            return path
        draft = _draft(path, text)
        _keep(path)
        _put(draft, path)
    _sync(path.parent)
    return path


def prove(name: str, launch: Launch) -> None:
    """Raise what `write` would raise now, and leave the launch file as it is."""
    path, text = launch_file(name), _text(launch)
    with _refusals_named(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _draft(path, text).unlink()


def _text(launch: Launch) -> str:
    """Sorted: PostgreSQL gives the keys of a kept launch back in its own order."""
    told = json.dumps(asdict(launch), indent=2, ensure_ascii=False, sort_keys=True)
    return f"{told}\n"


def _before(path: Path) -> Path:
    return path.with_name(f".{path.name}.before")


def _holds(path: Path, text: str) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8") == text
    return False


@contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WireError(
            f"The launch file {path} could not be written: {error.strerror or error}. "
            "Make room or give this user the folder, then start again."
        ) from error


def _keep(path: Path) -> None:
    """A second name for what is there costs no room."""
    draft = _beside(path)
    with suppress(OSError):  # the first launch has none before it
        os.link(path, draft)
        draft.replace(_before(path))


def _put(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def _draft(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _beside(path)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync(path: Path) -> None:
    """The new name too outlives a power loss; where that cannot be had it lies there
    all the same."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
