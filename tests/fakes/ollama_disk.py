"""What a practice Ollama run by hand has on disk between two starts.

One small JSON file: the tags and the half blobs with their age, so that a process
that is ended and started again prunes them, or goes on, as the real one would.
"""

import json
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.fakes.ollama_blobs import Blob
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.ollama_models import PracticeModel
from tests.fakes.ollama_state import OllamaState


def save(state: OllamaState, path: Path) -> None:
    """Write in one step, so that a sudden end leaves the older file."""
    now = time.monotonic()
    kept = {
        "saved_at": time.time(),
        "models": [_tag(model) for model in state.models.values()],
        "blobs": {
            digest: [blob.size_bytes, blob.completed, now - blob.touched_at]
            for digest, blob in state.folder.blobs.items()
            if not blob.is_whole
        },
    }
    half = path.with_name(f"{path.name}.new")
    half.write_text(json.dumps(kept), encoding="utf-8")
    half.replace(path)


def load(state: OllamaState, path: Path) -> bool:
    """Bring the state to what was saved; false when nothing was."""
    if not path.exists():
        return False
    kept = json.loads(path.read_text(encoding="utf-8"))
    state.models.clear()
    state.folder.blobs.clear()
    for tag in kept["models"]:
        _restore(state, tag)
    away = time.time() - kept["saved_at"]
    for digest, (size, completed, age) in kept["blobs"].items():
        touched_at = time.monotonic() - age - away
        state.folder.blobs[digest] = Blob(
            size_bytes=size, completed=completed, touched_at=touched_at
        )
    return True


def _tag(model: PracticeModel) -> dict[str, Any]:
    modified_at = model.modified_at.isoformat()
    return {
        "name": model.name,
        "revision": model.revision,
        "modified_at": modified_at,
    }


def _restore(state: OllamaState, tag: dict[str, Any]) -> None:
    model = replace(
        state.library.make(tag["name"]),
        revision=tag["revision"],
        modified_at=datetime.fromisoformat(tag["modified_at"]),
    )
    state.models[model.key] = model
    state.folder.put(manifest_of(model).blobs)
