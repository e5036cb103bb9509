"""Which adapter speaks for a catalogue; one kept adapter per process and address.

As `registry.py` for providers. The adapters are imported when they are first asked for,
since the libraries behind them are slow to load and most processes never need them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string

from models_app.choices import CatalogSource
from models_app.providers.catalogue import Catalogue

Address = tuple[str, ...]
Maker = Callable[..., Catalogue]

ADAPTERS = {
    CatalogSource.HUGGINGFACE.value: (
        "models_app.providers.huggingface_catalogue.HuggingFaceCatalogue"
    ),
    CatalogSource.OLLAMA.value: (
        "models_app.providers.ollama_catalogue.OllamaCatalogue"
    ),
}
SOURCES = tuple(ADAPTERS)

_kept: dict[str, tuple[Address, Catalogue]] = {}
_plugged: dict[str, Catalogue] = {}
_lock = threading.Lock()


def catalogue_for(source: str) -> Catalogue:
    """The adapter of this source of models; KeyError for one that has none."""
    if source in _plugged:
        return _plugged[source]
    address = _address(source)
    with _lock:
        kept, adapter = _kept.get(source, (None, None))
        if adapter is not None and kept == address:
            return adapter
        made: Catalogue = import_string(ADAPTERS[source])(*address)
        _kept[source] = (address, made)
    if adapter is not None:
        _close(adapter)
    return made


def close_all() -> None:
    """Give every connection back: tests, and the end of a process."""
    with _lock:
        adapters = [adapter for _address, adapter in _kept.values()]
        _kept.clear()
    for adapter in adapters:
        _close(adapter)


def _close(adapter: Catalogue) -> None:
    """Not every catalogue holds connections open."""
    close = getattr(adapter, "close", None)
    if close is not None:
        close()


def _address(source: str) -> Address:
    env = settings.ENV
    if source == CatalogSource.HUGGINGFACE:
        return (env.HF_ENDPOINT, env.HF_TOKEN.get_secret_value())
    return (env.OLLAMA_LIBRARY_URL, env.OLLAMA_REGISTRY_URL)


def plug(source: str, catalogue: Catalogue | None) -> None:
    """Speak through this object instead; None takes it out again."""
    if catalogue is None:
        _plugged.pop(source, None)
    else:
        _plugged[source] = catalogue
