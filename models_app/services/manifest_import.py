"""`manage.py models import-manifest FILE`: what an earlier version says it had.

The file is a claim, the disk is the truth: the stores and the scanned folders are
looked into, and of each entry it is told whether it lies there and what to do if not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from models_app.choices import PROFILE_PROVIDERS, ProviderName
from models_app.models import InstalledModel
from models_app.schemas.models import known_provider
from models_app.services import discovery
from models_app.services.registry import installed_here
from venom_site.lib.errors import BadRequest
from venom_site.lib.names import is_model_name

LARGEST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One entry of the file; `model` is its row, None where nothing lies there."""

    name: str
    provider: str
    model: InstalledModel | None
    message: str


def import_manifest(path: Path) -> list[Imported]:
    """Register what really lies here and tell what does not; twice is harmless.

    Raises `BadRequest` for a file that is no manifest.
    """
    entries = _entries(path)
    discovery.discover()
    return [_imported(entry, path.parent) for entry in entries]


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadRequest(f"{path} is larger than any manifest.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{path} is not JSON.") from error
    models = content.get("models") if isinstance(content, dict) else None
    if isinstance(models, dict):  # by name, as the very first versions wrote it
        models = [{"name": name} | entry for name, entry in models.items()]
    if not isinstance(models, list) or not all(isinstance(m, dict) for m in models):
        raise BadRequest(f"{path} has no list of “models”.")
    return models


def _imported(entry: dict[str, Any], beside: Path) -> Imported:
    name, provider = str(entry.get("name", "")), str(entry.get("provider", ""))
    model, message = _found(name, provider, entry.get("local_path"), beside)
    return Imported(
        name=name[:200],
        provider=model.provider if model else provider[:60],
        model=model,
        message=message,
    )


def _found(
    name: str, said: str, local: object, beside: Path
) -> tuple[InstalledModel | None, str]:
    try:
        provider = known_provider(said)
    except ValueError as error:
        return None, f"its provider {error}"
    if not is_model_name(name):
        return None, "its name is not one of a model"
    if provider not in PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        return None, f"profile {settings.RUNTIME_PROFILE} has no such models"
    folder = _folder(local, beside)
    if model := _by_path(folder) or installed_here().named(name, provider).first():
        return model, _registered(model, name)
    return None, _missing(provider, folder)


def _folder(local: object, beside: Path) -> Path | None:
    """Relative paths were written from where the product ran, or from the file."""
    if not isinstance(local, str) or not local.strip() or "\0" in local:
        return None
    path = Path(local).expanduser()
    here = path if path.is_absolute() or path.exists() else beside / path
    return here.resolve()


def _by_path(folder: Path | None) -> InstalledModel | None:
    if folder is None:
        return None
    rows = installed_here().exclude(path="")
    return next((row for row in rows if Path(row.path).resolve() == folder), None)


def _registered(model: InstalledModel, name: str) -> str:
    under = "" if model.name.lower() == name.lower() else f" as {model.name}"
    broken = f"; it is broken: {model.reason}" if model.error else ""
    return f"registered{under}{broken}"


def _missing(provider: str, folder: Path | None) -> str:
    if provider == ProviderName.OLLAMA:
        return "Ollama does not list it; start Ollama, or install it again"
    if folder is None:
        return "the file names no folder of it; install it again"
    if not folder.is_dir():
        return f"{folder} is not there; install it again"
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json; install it again"
    return (
        f"{folder} is not searched or has no safetensors weights; put the folder above "
        "it into MODELS_SCAN_DIRS"
    )
