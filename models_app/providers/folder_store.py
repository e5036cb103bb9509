"""A store of our own: one folder for each model and revision, proved before it counts.

`<root>/<org>/<name>@<commit>` is whole: it got that name by one rename, after every
file was proved and its marker was on the disk; `@<commit>-<what>` was converted here
from that commit. `….partial` is a fetch under way or left
behind, `….gone` a removal under way. Nobody else writes here; links are never followed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models_app.providers.base import Check
from models_app.providers.stored_models import (
    MARKER,
    MARKER_VERSION,
    StoredFile,
    StoredModel,
    is_folder,
    read_model,
    sync,
    write_marker,
)
from venom_site.clients.downloads import discard, partial_bytes
from venom_site.lib.names import REVISION

NO_OWNER = "_"  # where a name without an owner lies
PARTIAL, GONE = ".partial", ".gone"
LOOK_EVERY_SECONDS = 0.1
_FOLDER = re.compile(rf"(?P<name>[^@/]+)@(?P<revision>{REVISION})(?P<state>|\.\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfModel:
    """A fetch that has not ended."""

    name: str
    revision: str
    folder: Path
    size_bytes: int


class FolderStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    # Places

    def folder(self, name: str, revision: str) -> Path:
        """Where it lies or would lie; an owner whose folder is there in other letter
        case is the same owner."""
        owner, _, own = name.rpartition("/")
        parent = _as_written(self.root, owner or NO_OWNER)
        return parent / _as_written(parent, f"{own}@{revision}").name

    def partial(self, name: str, revision: str) -> Path:
        whole = self.folder(name, revision)
        return whole.with_name(whole.name + PARTIAL)

    # Reading

    def models(self) -> list[StoredModel]:
        """Every folder that is named as a model; raises OSError where one cannot be
        read, because a list with holes would say that models are gone."""
        return [
            read_model(name, revision, folder)
            for name, revision, state, folder in self._folders()
            if not state
        ]

    def find(self, name: str, revision: str) -> StoredModel | None:
        folder = self.folder(name, revision)
        return read_model(name, revision, folder) if is_folder(folder) else None

    def halves(self) -> list[HalfModel]:
        """Fetches that are under way or were left behind."""
        return [
            HalfModel(
                name=name,
                revision=revision,
                folder=folder,
                size_bytes=partial_bytes(folder),
            )
            for name, revision, state, folder in self._folders()
            if state == PARTIAL
        ]

    def _folders(self) -> Iterator[tuple[str, str, str, Path]]:
        for owner in _subfolders(self.root):
            for folder in _subfolders(owner):
                if found := _FOLDER.fullmatch(folder.name):
                    own = found["name"]
                    name = own if owner.name == NO_OWNER else f"{owner.name}/{own}"
                    yield name, found["revision"], found["state"], folder

    # Writing

    @contextmanager
    def fetching(self, name: str, revision: str, *, check: Check) -> Iterator[Path]:
        """The partial folder, held by nobody else as long as this lasts.

        The kernel's lock ends with its holder, so a killed worker blocks nobody.
        """
        with self._held(name, revision, check) as (folder, _lock):
            yield folder

    @contextmanager
    def making(
        self, name: str, revision: str, *, check: Check
    ) -> Iterator[tuple[Path, int]]:
        """As `fetching`, for what is made here: the folder begins empty, since half of
        it is worth nothing, and is gone at the end unless it was finished.

        Also gives the lock: whoever else writes there keeps it open, so that the next
        one waits for him too.
        """
        with self._held(name, revision, check) as (folder, lock):
            _empty(folder)
            try:
                yield folder, lock
            finally:
                if _is_still(folder, lock):
                    _empty(folder)

    @contextmanager
    def _held(
        self, name: str, revision: str, check: Check
    ) -> Iterator[tuple[Path, int]]:
        folder = self.partial(name, revision)
        while True:
            with self._alone():
                self._go_on_with_the_broken(name, revision)
                folder.mkdir(parents=True, exist_ok=True)
                held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _hold(held, check)
                if _is_still(folder, held):  # else whoever held it has finished it
                    try:
                        yield folder, held
                    finally:
                        self._drop_the_empty(name, revision)
                    return
            finally:
                os.close(held)

    def _drop_the_empty(self, name: str, revision: str) -> None:
        """A fetch that was refused before its first byte leaves nothing."""
        folder = self.partial(name, revision)
        with self._alone():
            if is_folder(folder) and not partial_bytes(folder):
                shutil.rmtree(folder)
            self._tidy(name, revision)

    def _go_on_with_the_broken(self, name: str, revision: str) -> None:
        """Its other files are proved once more and need not come again."""
        whole, partial = self.folder(name, revision), self.partial(name, revision)
        if is_folder(whole) and not partial.exists():
            whole.rename(partial)
            (partial / MARKER).unlink(missing_ok=True)

    def finish(
        self,
        name: str,
        revision: str,
        *,
        digest: str,
        files: list[StoredFile],
        license: str = "",
    ) -> Path:
        """Give the partial folder its name: from now on it is installed.

        Every file must be proved already. A folder of that name that is there is
        broken, else nobody would have fetched it again, and goes.
        """
        partial, whole = self.partial(name, revision), self.folder(name, revision)
        content = {
            "v": MARKER_VERSION,
            "name": name,
            "revision": revision,
            "digest": digest,
            "license": license,
            "files": [file.as_dict() for file in files],
            "fetched_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_marker(partial, content)
        with self._alone():
            if is_folder(whole):
                shutil.rmtree(_set_aside(whole))
            partial.rename(whole)
            sync(whole.parent)
        return whole

    def remove(self, name: str, revision: str) -> None:
        """The folder, then its owner's when that is empty; fine when it is gone.

        Renamed first: a removal that is cut off leaves no half model that calls itself
        installed, and the next one takes away what is left.
        """
        with self._alone():
            gone = _set_aside(self.folder(name, revision))
        if is_folder(gone):
            shutil.rmtree(gone)  # may take a while: nobody has to wait for it
        with self._alone():
            self._tidy(name, revision)

    def discard(self, name: str, revision: str) -> int:
        """Delete what an unfinished fetch has left; the bytes that this frees. Raises
        `DownloadRefused` while somebody fetches into it."""
        freed = discard(self.partial(name, revision))
        with self._alone():
            self._tidy(name, revision)
        return freed

    def _tidy(self, name: str, revision: str) -> None:
        for folder in (self.folder(name, revision).parent, self.root):
            with suppress(OSError):  # others lie there, or it is gone
                folder.rmdir()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody deletes an empty owner's folder while another puts a model there.

        The lock is on the folder above the store: no file of its own stays behind.
        """
        above = self.root.parent
        above.mkdir(parents=True, exist_ok=True)
        held = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)


def _set_aside(folder: Path) -> Path:
    """Out of the list in one step; what an earlier removal left goes first."""
    gone = folder.with_name(folder.name + GONE)
    if is_folder(folder):
        if is_folder(gone):
            shutil.rmtree(gone)
        folder.rename(gone)
    return gone


def _as_written(parent: Path, name: str) -> Path:
    """A hub's names do not differ by letter case only; two spellings are one folder."""
    path = parent / name
    if not path.exists():
        for other in _subfolders(parent):
            if other.name.lower() == name.lower():
                return other
    return path


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(found)


def _hold(folder: int, check: Check) -> None:
    """Wait for the one that fetches the same, in steps that notice a wish to stop."""
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            check()
            time.sleep(LOOK_EVERY_SECONDS)
        else:
            return


def _empty(folder: Path) -> None:
    """The folder itself stays: it carries the lock."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink(missing_ok=True)


def _is_still(folder: Path, held: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(folder.stat(), os.fstat(held))
    return False
