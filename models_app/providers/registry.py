"""Which adapter speaks for a provider; one kept adapter per process and address.

Kept because the clients behind it are costly to make and safe to share. A changed
address gets a new adapter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import ProviderName
from models_app.providers.base import Provider
from models_app.providers.folder_store import FolderStore
from models_app.providers.huggingface import HuggingFaceProvider
from models_app.providers.ollama import OllamaProvider
from venom_site.lib.errors import InvalidBody

Wanted = tuple[Any, ...]  # what an adapter is made from
_kept: dict[str, tuple[Wanted, Provider]] = {}
_lock = threading.Lock()


def provider_for(name: str) -> Provider:
    """The adapter of this provider; raises `InvalidBody` for one that there is not."""
    if name not in MAKERS:
        message = _("must be one of %(names)s") % {"names": ", ".join(MAKERS)}
        raise InvalidBody(errors=[{"loc": "body.provider", "message": message}])
    make, read = MAKERS[name]
    wanted = read()
    with _lock:
        kept, adapter = _kept.get(name, (None, None))
        if adapter is not None and kept == wanted:
            return adapter
        made = make(*wanted)
        _kept[name] = (wanted, made)
    if adapter is not None:
        adapter.close()
    return made


def _of_ollama() -> Wanted:
    return settings.ENV.ollama_url, settings.ENV.OLLAMA_REGISTRY_URL


def _of_huggingface() -> Wanted:
    env = settings.ENV
    folder = env.MODELS_CACHE_DIR or settings.DATA_DIR / "models"
    return (
        env.HF_ENDPOINT,
        env.HF_TOKEN.get_secret_value(),
        Path(folder).absolute() / "hf",
        tuple(
            Path(each.strip()).expanduser().absolute()
            for each in env.MODELS_SCAN_DIRS.split(":")
            if each.strip()
        ),
    )


def own_store() -> FolderStore:
    """The folders of Hugging Face models that are ours: also for what is made here."""
    _endpoint, _token, root, _scanned = _of_huggingface()
    return FolderStore(root)


MAKERS: dict[str, tuple[Callable[..., Provider], Callable[[], Wanted]]] = {
    ProviderName.OLLAMA.value: (OllamaProvider, _of_ollama),
    ProviderName.HUGGINGFACE.value: (HuggingFaceProvider, _of_huggingface),
}


def close_all() -> None:
    """Give every connection back: tests, and the end of a process."""
    with _lock:
        adapters = [adapter for _wanted, adapter in _kept.values()]
        _kept.clear()
    for adapter in adapters:
        adapter.close()
