"""What lies in folders of Hugging Face models, in the words of `base.py`; and what of
a fetched folder is recorded, and what is swept away."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from models_app.providers.base import FoundModel
from models_app.providers.scan_folders import ForeignModel
from models_app.providers.stored_models import StoredFile, StoredModel
from venom_site.clients.huggingface import HubFile

FORMAT, GGUF = "safetensors", "gguf"


def digest_of(files: Sequence[HubFile | StoredFile]) -> str:
    """One hash for a set of proved files: over their sorted paths and hashes, so that
    it does not depend on the order of a list or on files that nobody needs."""
    lines = sorted(f"{file.path}\0{file.sha256 or file.git_sha1}\n" for file in files)
    return sha256("".join(lines).encode()).hexdigest()


def found(model: StoredModel) -> FoundModel:
    return FoundModel(
        name=model.name,
        revision=model.revision,
        digest=model.digest,
        size_bytes=model.size_bytes,
        format=_format(file.path for file in model.files),
        modified_at=_moment(model.fetched_at),
        path=str(model.folder),
        files=tuple(file.as_dict() for file in model.files),
        error=model.error,
    )


def found_elsewhere(model: ForeignModel) -> FoundModel:
    return FoundModel(
        name=model.name,
        revision=model.revision,
        digest="",  # nobody has proved these bytes
        size_bytes=model.size_bytes,
        format=FORMAT,
        path=str(model.folder),
        files=tuple({"path": path, "size_bytes": size} for path, size in model.files),
        is_foreign=True,
        error=model.error,
    )


def key_of(model: FoundModel) -> tuple[str, str]:
    return model.name.lower(), model.revision


def _format(paths: Iterable[str]) -> str:
    return GGUF if any(path.endswith(".gguf") for path in paths) else FORMAT


def _moment(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    return None


def stored(folder: Path, chosen: Sequence[HubFile]) -> list[StoredFile]:
    return [
        StoredFile(
            path=file.path,
            size_bytes=(folder / file.path).stat().st_size,
            sha256=file.sha256,
            git_sha1="" if file.sha256 else file.git_sha1,
        )
        for file in chosen
    ]


def clear_others(folder: Path, wanted: set[str]) -> None:
    """What an earlier choice of files, or the downloader's own notes, left there."""
    for place, below, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(place, name)
            if str(path.relative_to(folder)) not in wanted:
                path.unlink()
        for name in below:
            with suppress(OSError):  # not empty: files that are wanted
                Path(place, name).rmdir()
