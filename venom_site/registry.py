"""The Python API: models, operations and activation for programs of this machine.

    from venom_site.registry import ModelProvider, ModelRegistry

    registry = ModelRegistry()
    operation_id = await registry.install_model("gemma3:4b", ModelProvider.OLLAMA)

A thin facade over the services that pages and the HTTP API use too, with their
refusals (`venom_site.lib.errors`). What takes time is a coroutine; it runs in a
program of its own as well as in a shell of `manage.py`. Operations are carried out by
the worker, so an installation must be running. Nothing of ours imports this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import django
from django.apps import apps

if not apps.ready:  # a program of its own, not one of ours
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")
    django.setup()

from django.conf import settings
from django.db import connections

from models_app.choices import OperationStatus, ProviderName
from models_app.models import Capabilities, InstalledModel, Operation
from models_app.schemas.capabilities import CapabilitiesBody, capabilities_payload
from models_app.schemas.models import size_gb
from models_app.services import capabilities as abilities
from models_app.services import install, model_lists, registry, remove
from models_app.services.model_lists import ModelRow
from models_app.services.nodes import this_node
from models_app.services.operation_rows import get_operation
from models_app.services.storage import shortage, storage_of
from runtime_app.services.activate import request_activation
from venom_site.lib.access import SYSTEM, Principal
from venom_site.lib.offloop import off_loop
from venom_site.lib.units import GB, iso
from venom_site.registry_types import (
    ModelCapabilities,
    ModelMetadata,
    ModelOperation,
)

__all__ = [
    "ModelCapabilities",
    "ModelMetadata",
    "ModelOperation",
    "ModelProvider",
    "ModelRegistry",
    "OperationStatus",
]

ModelProvider = ProviderName
Answer = TypeVar("Answer")
LOOK_EVERY_SECONDS = 0.25
_SAID_BY = frozenset({"source", "sources"})
ACTIVATION_SECONDS = 600  # a large model on vLLM loads for minutes
ACTOR = Principal(
    kind="system", identifier="python", name="Python", scopes=SYSTEM.scopes
)


class ModelRegistry:
    """This node's models. `models_dir` may be given to be sure which installation is
    meant: ValueError where it keeps its models elsewhere."""

    def __init__(self, models_dir: str | Path | None = None) -> None:
        if models_dir is not None:
            _refuse_other_folder(Path(models_dir))
        self.manifest = Manifest()

    async def list_available_models(
        self, provider: str | None = None
    ) -> list[ModelMetadata]:
        """What is installed here, from one provider or all."""
        rows = await off_loop(_installed)
        return [row for row in rows if provider in (None, row.provider)]

    async def install_model(
        self,
        model_name: str,
        provider: str = ModelProvider.OLLAMA,
        runtime: str = "",
        *,
        revision: str = "",
        confirm_large: bool = False,
    ) -> str:
        """The id of the operation that installs it, or of the one that does already."""
        operation = await off_loop(
            install.request_install,
            provider,
            model_name,
            actor=ACTOR,
            runtime=runtime,
            revision=revision,
            confirm_large=confirm_large,
        )
        return str(operation.pk)

    async def remove_model(self, model_name: str, provider: str | None = None) -> str:
        """The id of the operation that removes it."""

        def wish() -> Operation:
            model = registry.find_installed(model_name, provider)
            return remove.request_remove(model, actor=ACTOR)

        return str((await off_loop(wish)).pk)

    async def activate_model(
        self, model_name: str, runtime: str, *, seconds: float = ACTIVATION_SECONDS
    ) -> bool:
        """Whether it answers now; False when the activation failed or was cancelled.

        Raises TimeoutError when it is not over by then; it goes on all the same.
        """
        operation = await off_loop(request_activation, runtime, model_name, actor=ACTOR)
        async with asyncio.timeout(seconds):
            while not operation.is_finished:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                operation = await off_loop(get_operation, operation.pk)
        return operation.status == OperationStatus.COMPLETED

    def get_operation_status(self, operation_id: str) -> ModelOperation:
        """The operation as it is now; raises `NotFound` for an id that is none."""
        return _told(_now(get_operation, operation_id))

    def get_model_capabilities(self, model_name: str) -> ModelCapabilities:
        """What is known of an installed model; raises `NotFound` for another."""

        def look() -> ModelCapabilities:
            model = registry.find_installed(model_name)
            return _capabilities(model, abilities.capabilities_of(model))

        return _now(look)

    def check_storage_quota(self, additional_size_gb: float = 0.0) -> bool:
        """Whether so much more fits: the quota, and the disk itself."""
        needed = int(additional_size_gb * GB)
        return _now(lambda: shortage(storage_of(this_node()), needed) is None)

    def _save_manifest(self) -> None:
        """Write what was set in `manifest`; the worker exports the file."""
        _now(self.manifest.save)


class Manifest(Mapping[str, ModelMetadata]):
    """What is installed, by name. What is set here is written by `_save_manifest`:
    the capabilities of an installed model, from then on known as set by hand."""

    def __init__(self) -> None:
        self._set: dict[str, ModelMetadata] = {}

    def __getitem__(self, name: str) -> ModelMetadata:
        return self._set.get(name) or {row.name: row for row in _now(_installed)}[name]

    def __setitem__(self, name: str, metadata: ModelMetadata) -> None:
        self._set[name] = metadata

    def __iter__(self) -> Iterator[str]:
        return iter([row.name for row in _now(_installed)])

    def __len__(self) -> int:
        return len(_now(_installed))

    def save(self) -> None:
        """All that was set; raises `NotFound` for a model that is not installed."""
        for name, metadata in list(self._set.items()):
            model = registry.find_installed(name, metadata.provider)
            body = CapabilitiesBody.model_validate(_given(metadata.capabilities))
            abilities.set_capabilities(model, body, actor=ACTOR)
            del self._set[name]


def _refuse_other_folder(folder: Path) -> None:
    kept = (settings.DATA_DIR / "models").resolve()
    if folder.resolve() != kept:
        raise ValueError(
            f"This installation keeps its models in {kept}, not in {folder.resolve()}: "
            "VENOM_DATA_DIR says where."
        )


def _given(said: ModelCapabilities) -> dict[str, Any]:
    """What somebody filled in; the rest stays as it is."""
    told = {name: value for name, value in vars(said).items() if name not in _SAID_BY}
    return {name: value for name, value in told.items() if value not in (None, [])}


def _installed() -> list[ModelMetadata]:
    said = {each.model_id: each for each in Capabilities.objects.all()}
    rows = model_lists.all_rows()
    return [
        _metadata(row, row.model, said.get(row.model.pk)) for row in rows if row.model
    ]


def _metadata(
    row: ModelRow, model: InstalledModel, said: Capabilities | None
) -> ModelMetadata:
    return ModelMetadata(
        name=row.name,
        provider=row.provider,
        display_name=row.name,
        size_gb=size_gb(model.size_bytes),
        status=row.status,
        capabilities=_capabilities(model, said),
        local_path=model.path or None,
        sha256=model.digest.removeprefix("sha256:") or None,
        installed_at=iso(model.installed_at),
        runtime=row.runtime,
    )


def _capabilities(
    model: InstalledModel, said: Capabilities | None
) -> ModelCapabilities:
    told = capabilities_payload(model, said)
    return ModelCapabilities(
        **{name: told[name] for name in ModelCapabilities.__dataclass_fields__}
    )


def _told(operation: Operation) -> ModelOperation:
    return ModelOperation(
        operation_id=str(operation.pk),
        operation_type=operation.operation_type,
        model_name=operation.model_name,
        status=OperationStatus(operation.status),
        progress=operation.progress,
        message=operation.message,
        error=operation.error,
        error_code=operation.error_code,
    )


def _now(function: Callable[..., Answer], *given: Any) -> Answer:
    """Its result, also for who calls from within an event loop, where the ORM may not
    be used: then a thread calls it, and the loop stands still for that moment."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function(*given)

    def call() -> Answer:
        try:
            return function(*given)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()
