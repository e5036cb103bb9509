"""What a folder of our store says of itself: its marker, and whether that is so.

Reads and writes the marker, by which a folder counts as a model (`folder_store.py`).
Judges by size: reading all bytes again is an operation of its own.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_app.reasons import NO_REASON, Reason, because

MARKER = ".venom.json"
MARKER_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """`path` is relative to the model's folder; one of the hashes proves the bytes."""

    path: str
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""

    def as_dict(self) -> dict[str, str | int]:
        told: dict[str, str | int] = {"path": self.path, "size_bytes": self.size_bytes}
        proof = {"sha256": self.sha256, "git_sha1": self.git_sha1}
        return told | {name: value for name, value in proof.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A folder that says it is a model; `error` where what it says is not so."""

    name: str
    revision: str
    folder: Path
    digest: str = ""
    files: tuple[StoredFile, ...] = ()
    size_bytes: int = 0
    fetched_at: str = ""
    license: str = ""
    error: Reason = NO_REASON


def read_model(name: str, revision: str, folder: Path) -> StoredModel:
    """The model that this folder is named as, with what is wrong with it."""
    said = _marker(folder)
    if said is None:
        return StoredModel(
            name=name,
            revision=revision,
            folder=folder,
            size_bytes=_bytes(folder),
            error=because("no_proof", folder=folder.name),
        )
    files = said["files"]
    return StoredModel(
        name=name,
        revision=revision,
        folder=folder,
        digest=said["digest"],
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        fetched_at=said["fetched_at"],
        license=said["license"],
        error=_what_is_wrong(folder, files),
    )


def _marker(folder: Path) -> dict[str, Any] | None:
    """What the marker says; None where it is missing or says something else."""
    try:
        said = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        files = tuple(StoredFile(**file) for file in said["files"])
        if not files or not all(map(_is_sound, files)):
            return None
        return {
            "digest": str(said["digest"]),
            "files": files,
            "fetched_at": str(said["fetched_at"]),
            "license": str(said.get("license", "")),
        }
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_sound(file: StoredFile) -> bool:
    told: tuple[object, object] = (file.path, file.size_bytes)
    return isinstance(told[0], str) and isinstance(told[1], int)


def _what_is_wrong(folder: Path, files: tuple[StoredFile, ...]) -> Reason:
    """By size: reading all bytes again is an operation of its own."""
    wrong = [file.path for file in files if _size(folder / file.path) is None]
    if wrong:
        return _of_files("files_missing", wrong, files)
    wrong = [f.path for f in files if _size(folder / f.path) != f.size_bytes]
    if wrong:
        return _of_files("files_resized", wrong, files)
    return NO_REASON


def _of_files(code: str, wrong: list[str], files: tuple[StoredFile, ...]) -> Reason:
    return because(code, number=len(wrong), files=len(files), first=wrong[0])


def _size(path: Path) -> int | None:
    """Of a plain file; None for what is missing or a link."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            return path.stat().st_size
    return None


def _bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def is_folder(path: Path) -> bool:
    """A folder of ours: links are never followed."""
    return path.is_dir() and not path.is_symlink()


def write_marker(folder: Path, content: dict[str, Any]) -> None:
    """On the disk for certain, its name too."""
    with (folder / MARKER).open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    sync(folder)


def sync(folder: Path) -> None:
    """A name is on the disk once its folder is."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
