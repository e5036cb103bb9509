"""Ollama as a runtime: native API, loads on demand, 0.16 and newer."""

from __future__ import annotations

import re
import time
from typing import Any

from django.conf import settings

from runtime_app.choices import RuntimeStatus
from runtime_app.runtimes.base import Check, Observation, failed
from venom_site.clients.ollama import ListedModel, LoadedModel, OllamaClient
from venom_site.lib.errors import WireError

OLDEST_SUPPORTED = (0, 16)


class OllamaAdapter:
    def __init__(self, base_url: str) -> None:
        self._client = OllamaClient(base_url)
        self._keep_alive: str = settings.ENV.LLM_KEEP_ALIVE

    def close(self) -> None:
        self._client.close()

    def observe(self) -> Observation:
        began = time.perf_counter()
        try:
            version = self._client.version()
            latency_ms = (time.perf_counter() - began) * 1000
            models = self.list_models()
        except WireError as error:
            return failed(error, _status_of(error))
        complaint = _complaint(version)
        return Observation(
            status=RuntimeStatus.DEGRADED if complaint else RuntimeStatus.ONLINE,
            version=version,
            models=models,
            latency_ms=latency_ms,
            error=complaint,
        )

    def list_models(self) -> list[dict[str, Any]]:
        in_memory = {model.name: model for model in self._client.loaded()}
        return [
            _entry(model, in_memory.get(model.name))
            for model in self._client.tags()
            if not (model.is_remote and settings.ENV.OLLAMA_NO_CLOUD)
        ]

    def load(self, model: str, *, seconds: float, check: Check) -> None:
        self._client.load(
            model, keep_alive=self._keep_alive, seconds=seconds, check=check
        )

    def confirm(self, model: str, *, seconds: float, check: Check) -> str:
        return self._client.chat_one_token(
            model, keep_alive=self._keep_alive, seconds=seconds, check=check
        )


def _status_of(error: WireError) -> str:
    """No connection and no answer is offline, a bad answer degraded."""
    away = error.reason_code in {"OFFLINE", "FALLBACK_TIMEOUT"}
    return RuntimeStatus.OFFLINE if away else RuntimeStatus.DEGRADED


def _complaint(version: str) -> str:
    """Why this version is not supported; a version nobody can read is let pass."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST_SUPPORTED:
        return ""
    return f"Ollama {version} is too old: 0.16 and newer is supported. Update it."


def _entry(model: ListedModel, loaded: LoadedModel | None) -> dict[str, Any]:
    entry = {
        "name": model.name,
        "size_bytes": model.size_bytes,
        "digest": model.digest,
        "family": model.family,
        "parameter_size": model.parameter_size,
        "quantization": model.quantization,
        "loaded": loaded is not None,
    }
    if loaded is not None:
        entry["size_vram_bytes"] = loaded.size_vram_bytes
        entry["expires_at"] = loaded.expires_at
    return entry
