"""Ollama as a runtime: native API, loads on demand, 0.16 and newer."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

from runtime_app.choices import RuntimeStatus
from runtime_app.runtimes.base import Check, Observation, failed
from venom_site.clients.ollama import OllamaClient
from venom_site.clients.ollama_answers import ListedModel, LoadedModel
from venom_site.lib.errors import WireError
from venom_site.lib.units import iso

OLDEST_SUPPORTED = (0, 16)
FOREVER = "-1s"  # any negative duration
USUAL_KEEP_ALIVE = "5m"  # Ollama's own default
NEVER_FROM_YEAR = 2200  # «for ever» is shown as a moment centuries away
POLL_SECONDS = 0.1
ASK_AGAIN_SECONDS = 3


class OllamaAdapter:
    def __init__(self, base_url: str) -> None:
        self._client = OllamaClient(base_url)
        self._keep_alive = _duration(settings.ENV.LLM_KEEP_ALIVE)

    def close(self) -> None:
        self._client.close()

    def observe(self) -> Observation:
        began = time.perf_counter()
        try:
            version = self._client.version()
            latency_ms = (time.perf_counter() - began) * 1000
            models, loaded = self.list_models(), self.list_loaded()
        except WireError as error:
            return failed(error, _status_of(error))
        complaint = _complaint(version)
        return Observation(
            status=RuntimeStatus.DEGRADED if complaint else RuntimeStatus.ONLINE,
            version=version,
            models=models,
            loaded=loaded,
            latency_ms=latency_ms,
            error=complaint,
        )

    def list_models(self) -> list[dict[str, Any]]:
        return [
            _entry(model)
            for model in self._client.tags()
            if not (model.is_remote and settings.ENV.OLLAMA_NO_CLOUD)
        ]

    def list_loaded(self) -> list[dict[str, Any]]:
        return [_in_memory(model) for model in self._client.loaded()]

    def load(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> None:
        keep_alive = FOREVER if forever else self._keep_alive
        self._client.load(model, keep_alive=keep_alive, seconds=seconds, check=check)
        self._prove_held(model, keep_alive, "It loaded")

    def confirm(
        self, model: str, *, seconds: float, check: Check, forever: bool = False
    ) -> str:
        keep_alive = FOREVER if forever else self._keep_alive
        answered = self._client.chat_one_token(
            model, keep_alive=keep_alive, seconds=seconds, check=check
        )
        self._prove_held(model, keep_alive, "It answered")
        return answered

    def keep(self, model: str, *, forever: bool) -> None:
        # A request that names no time leaves the one before, also «for ever».
        usual = self._keep_alive or settings.ENV.OLLAMA_KEEP_ALIVE or USUAL_KEEP_ALIVE
        self._client.keep(model, keep_alive=-1 if forever else _duration(usual))

    def unload(self, model: str, *, check: Check) -> None:
        """A request that begins meanwhile sets a new time, so it is asked again."""
        asked_at = float("-inf")
        check()
        while self._holds(model):
            if time.monotonic() - asked_at > ASK_AGAIN_SECONDS:
                self._client.keep(model, keep_alive=0)
                asked_at = time.monotonic()
            time.sleep(POLL_SECONDS)
            check()

    def _prove_held(self, model: str, keep_alive: str, what: str) -> None:
        leaves_at_once = re.fullmatch(r"[+-]?0+[a-zµ]*", keep_alive)
        if not leaves_at_once and not self._holds(model):
            raise WireError(f"{what}, but does not list the model as loaded.")

    def _holds(self, model: str) -> bool:
        names = {entry.name.lower() for entry in self._client.loaded()}
        return model.lower() in names


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


def _duration(text: str) -> str:
    """Ollama takes a bare number only as a number; as text it needs a unit."""
    return f"{text}s" if re.fullmatch(r"[+-]?\d+", text) else text


def _entry(model: ListedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "size_bytes": model.size_bytes,
        "digest": model.digest,
        "family": model.family,
        "parameter_size": model.parameter_size,
        "quantization": model.quantization,
        "can_chat": "completion" in model.capabilities if model.capabilities else None,
    }


def _in_memory(model: LoadedModel) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": model.name,
        "size_bytes": model.size_bytes,
        "size_vram_bytes": model.size_vram_bytes,
        "context_length": model.context_length,
    }
    leaves_at = _moment(model.expires_at)
    if leaves_at is not None:
        never = leaves_at.year >= NEVER_FROM_YEAR
        entry["expires_at"] = None if never else iso(leaves_at)
    return entry


def _moment(text: str) -> datetime | None:
    """None for what is no time with a zone."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return None if moment is None or moment.tzinfo is None else moment
