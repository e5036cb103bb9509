"""`manifest.json`: what is installed, as a file for other programs.

An export of this node's rows in the shape earlier versions had; nothing here reads it
back. Written by the node's worker after each change. A disk that is full or a folder
that refuses is logged: no operation fails because of a copy.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from models_app.models import Capabilities, InstalledModel
from models_app.schemas.models import size_gb
from venom_site.lib.units import iso

logger = logging.getLogger(__name__)

NAME = "manifest.json"


def export_manifest() -> None:
    """Bring the file up to date; untouched when nothing in it would change.

    The rows are read inside the lock, so a slow writer never puts an older state over
    a newer one. Readers see the old file or the new one, never half of either.
    """
    folder = settings.DATA_DIR / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _write(folder / NAME, _models())
    except OSError as error:
        logger.warning("manifest not written folder=%s %s", folder, error)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time; the kernel's lock never outlives its holder."""
    with (folder / f".{NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _models() -> list[dict[str, Any]]:
    rows = InstalledModel.objects.of_node(settings.NODE).order_by("name", "provider")
    return [_entry(model) for model in rows.select_related("capabilities")]


def _entry(model: InstalledModel) -> dict[str, Any]:
    said: Capabilities | None = getattr(model, "capabilities", None)
    return {
        "name": model.name,
        "provider": model.provider,
        "display_name": model.name,
        "size_gb": size_gb(model.size_bytes),
        "status": model.status,
        "capabilities": {
            "supports_system_role": said.supports_system_role if said else None,
            "allowed_roles": said.allowed_roles if said else [],
            "max_context_length": model.context_length,
        },
        "local_path": model.path or None,
        "sha256": model.digest.removeprefix("sha256:") or None,
        "installed_at": iso(model.installed_at),
        "runtime": model.runtime,
    }


def _write(path: Path, models: list[dict[str, Any]]) -> None:
    if _written(path) == models:
        return
    content = {"models": models, "updated_at": iso(timezone.now())}
    fresh = path.with_name(f".{NAME}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _written(path: Path) -> Any:
    """The models of the present file; None when there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("models") if isinstance(content, dict) else None
