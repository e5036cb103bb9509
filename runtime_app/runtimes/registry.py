"""Which adapter speaks for a kind of runtime; one kept adapter per row and process.

Kept because the clients behind them are costly to make and safe to share. A changed
address or key gets a new adapter.
"""

from __future__ import annotations

import threading
from uuid import UUID

from runtime_app.choices import ManagedBy, RuntimeKind, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.base import RuntimeAdapter
from runtime_app.runtimes.ollama import OllamaAdapter
from runtime_app.runtimes.openai_compatible import OpenAICompatibleAdapter
from runtime_app.runtimes.vllm import VllmAdapter
from venom_site.lib import secrets
from venom_site.lib.errors import WireError

_kept: dict[UUID, tuple[tuple[str, str, str], RuntimeAdapter]] = {}
_lock = threading.Lock()


def adapter_for(runtime: Runtime) -> RuntimeAdapter:
    """The adapter for this row; raises `WireError` when its key cannot be read."""
    wanted = (runtime.kind, runtime.base_url, runtime.encrypted_key)
    with _lock:
        kept, adapter = _kept.get(runtime.pk, (None, None))
        if adapter is not None and kept == wanted:
            return _told(adapter, runtime)
        made = _told(_make(runtime), runtime)
        _kept[runtime.pk] = (wanted, made)
    if adapter is not None:
        adapter.close()
    return made


def _told(adapter: RuntimeAdapter, runtime: Runtime) -> RuntimeAdapter:
    """A server that we do not run is not asked for tokens of its own accord."""
    if isinstance(adapter, VllmAdapter):
        is_managed = runtime.managed_by != ManagedBy.EXTERNAL
        adapter.is_ours = is_managed and runtime.wish == Wish.RUNNING
    return adapter


def _make(runtime: Runtime) -> RuntimeAdapter:
    if runtime.kind == RuntimeKind.OLLAMA:
        return OllamaAdapter(runtime.base_url)
    if runtime.kind == RuntimeKind.VLLM:
        return VllmAdapter(runtime.base_url, key_of(runtime))
    return OpenAICompatibleAdapter(runtime.base_url, key_of(runtime))


def key_of(runtime: Runtime) -> str:
    """The server's own key, empty for none; `WireError` when it cannot be read."""
    if not runtime.encrypted_key:
        return ""
    try:
        return secrets.decrypt(runtime.encrypted_key)
    except secrets.Undecryptable:
        raise WireError(
            "The stored key cannot be decrypted with the present encryption keys. "
            "Enter it again.",
            permanent=True,
            reason_code="AUTH_ERROR",
        ) from None


def close_all() -> None:
    """Give every connection back: tests, and the end of a process."""
    with _lock:
        adapters = [adapter for _, adapter in _kept.values()]
        _kept.clear()
    for adapter in adapters:
        adapter.close()
