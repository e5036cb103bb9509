"""Any OpenAI-compatible server as a runtime: vLLM, llama-server, LM Studio.

Its models are in memory as long as it runs, so there is nothing to load.
"""

from __future__ import annotations

import time
from typing import Any

from runtime_app.choices import RuntimeStatus
from runtime_app.runtimes.base import (
    Check,
    Observation,
    UnloadUnsupported,
    failed,
)
from venom_site.clients.openai_compatible import (
    OpenAICompatibleClient,
    ServedModel,
    StillLoading,
)
from venom_site.lib.errors import WireError

ASK_VERSION_EVERY_SECONDS = 60


class OpenAICompatibleAdapter:
    def __init__(self, base_url: str, key: str = "") -> None:
        self._client = self._make_client(base_url, key)
        self._version = ""
        self._version_until = 0.0

    def _make_client(self, base_url: str, key: str) -> OpenAICompatibleClient:
        return OpenAICompatibleClient(base_url, key)

    def close(self) -> None:
        self._client.close()

    def observe(self) -> Observation:
        began = time.perf_counter()
        try:
            models = self.list_models()
            latency_ms = (time.perf_counter() - began) * 1000
            version = self._known_version()
        except WireError as error:
            self._version_until = 0.0
            return failed(error, _status_of(error))
        return Observation(
            status=RuntimeStatus.ONLINE,
            version=version,
            models=models,
            loaded=[{"name": model["name"]} for model in models],
            latency_ms=latency_ms,
        )

    def _known_version(self) -> str:
        """Asked once a minute: many servers have none and would log a 404 each time."""
        if time.monotonic() >= self._version_until:
            self._version = self._client.version()
            self._version_until = time.monotonic() + ASK_VERSION_EVERY_SECONDS
        return self._version

    def list_models(self) -> list[dict[str, Any]]:
        return [_entry(model) for model in self._client.models()]

    def list_loaded(self) -> list[dict[str, Any]]:
        return [{"name": model.name} for model in self._client.models()]

    def load(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> None:
        """Nothing to do: what it lists is loaded, or loads with the first token."""

    def confirm(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> str:
        return self._client.one_token(model, seconds=seconds, check=check)

    def keep(self, model: str, *, forever: bool) -> None:
        """Nothing to do: it stays as long as the server runs."""

    def unload(self, model: str, *, check: Check) -> None:
        raise UnloadUnsupported(
            "This server has no call that unloads a model; stopping it frees memory."
        )


def _status_of(error: WireError) -> str:
    if isinstance(error, StillLoading):
        return RuntimeStatus.STARTING
    away = error.reason_code in {"OFFLINE", "FALLBACK_TIMEOUT"}
    return RuntimeStatus.OFFLINE if away else RuntimeStatus.DEGRADED


def _entry(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "size_bytes": model.size_bytes,
        "parameter_size": _short_count(model.parameter_count),
        "quantization": model.quantization,
        "context_length": model.context_length,
        "root": model.root,
    }


def _short_count(parameters: int | None) -> str:
    """4300000000 → 4.3B, as model names count."""
    if not parameters:
        return ""
    for step, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if parameters >= step:
            return f"{parameters / step:.1f}{unit}".replace(".0", "")
    return str(parameters)
