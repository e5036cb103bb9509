"""Models that others put into the folders of `MODELS_SCAN_DIRS`; nothing is written.

Found are `<folder>/<name>/` and `<folder>/<org>/<name>/` with a `config.json` and
weights beside it, and what the hub's own tools keep as
`models--<org>--<name>/snapshots/<commit>/`. A link counts when it ends inside the
scanned folder; one that leaves it is not there for us.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models_app.reasons import NO_REASON, Reason, because
from venom_site.lib.names import REVISION, is_model_name

logger = logging.getLogger(__name__)

MOST_FOLDERS = 2000  # a scanned folder with more is not one of models
MOST_INDEX_BYTES = 50_000_000
_CACHED = re.compile(r"models--(?P<name>.+)")
_REVISION = re.compile(rf"(?P<name>[^@]+)@(?P<revision>{REVISION})")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignModel:
    name: str
    revision: str
    folder: Path
    files: tuple[tuple[str, int], ...]  # path and bytes
    error: Reason = NO_REASON

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.files)


def foreign_models(scanned: list[Path], *, but: Path) -> list[ForeignModel]:
    """What lies there now, `but` our own store. A folder that cannot be read is
    logged: what lies there cannot be used either."""
    own = but.resolve()
    return [
        model
        for root in scanned
        for model in _models_in(root.expanduser())
        if not model.folder.resolve().is_relative_to(own)
    ]


def owner_of(folder: Path) -> str:
    """Whose it is, for the sentence that refuses to delete it."""
    try:
        return folder.owner()
    except (OSError, KeyError):  # no such user in this container
        with suppress(OSError):
            return f"user {folder.stat().st_uid}"
    return ""


def _models_in(root: Path) -> Iterator[ForeignModel]:
    try:
        base = root.resolve(strict=True)
    except (OSError, RuntimeError):
        return
    for name, revision, folder in _candidates(root, base):
        if not is_model_name(name) or ":" in name:
            continue
        files = _files(folder, base)
        if _is_model(files):
            yield ForeignModel(
                name=name,
                revision=revision,
                folder=folder,
                files=files,
                error=_missing(folder, files),
            )


def _candidates(root: Path, base: Path) -> Iterator[tuple[str, str, Path]]:
    for first in _subfolders(root, base):
        if cached := _CACHED.fullmatch(first.name):
            name = cached["name"].replace("--", "/", 1)
            for snapshot in _subfolders(first / "snapshots", base):
                if _COMMIT.fullmatch(snapshot.name):
                    yield name, snapshot.name, snapshot
        elif (first / "config.json").exists():
            yield *_named(first.name), first
        else:
            for second in _subfolders(first, base):
                name, revision = _named(second.name)
                yield f"{first.name}/{name}", revision, second


def _named(folder: str) -> tuple[str, str]:
    found = _REVISION.fullmatch(folder)
    return (found["name"], found["revision"]) if found else (folder, "")


def _subfolders(folder: Path, base: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            paths = [Path(e.path) for e in entries if not e.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("folder of models cannot be read %s", error)
        return []
    inside = [path for path in paths if _is_inside(path, base) and path.is_dir()]
    if len(inside) > MOST_FOLDERS:
        logger.warning("folder=%s holds %s folders: not looked at", folder, len(inside))
        return []
    return sorted(inside)


def _is_inside(path: Path, base: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(base)
    except (OSError, RuntimeError):  # gone, or links in a circle
        return False


def _files(folder: Path, base: Path) -> tuple[tuple[str, int], ...]:
    """Plain files of the folder itself; what lies deeper, vLLM does not read."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if _is_inside(path, base) and path.is_file():
                found.append((entry.name, path.stat().st_size))
    return tuple(sorted(found))


def _is_model(files: tuple[tuple[str, int], ...]) -> bool:
    sizes = dict(files)
    has_weights = any(name.endswith(".safetensors") and size for name, size in files)
    return bool(sizes.get("config.json")) and has_weights


def _missing(folder: Path, files: tuple[tuple[str, int], ...]) -> Reason:
    """Which parts its index names that are not there."""
    index = folder / "model.safetensors.index.json"
    sizes = dict(files)
    if not 0 < sizes.get(index.name, 0) <= MOST_INDEX_BYTES:
        return NO_REASON
    try:
        wanted = set(
            json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return because("index_broken", file=index.name)
    lacking = sorted(str(name) for name in wanted if not sizes.get(str(name)))
    if not lacking:
        return NO_REASON
    return because(
        "parts_missing",
        number=len(lacking),
        parts=len(wanted),
        first=lacking[0][:80],
    )
