"""Discovery: what others brought, updated or removed in a store shows in the registry.

Runs every ten minutes, at worker start, and when a runtime's list has changed. The
store is the truth about what is there, but only a whole list proves that something is
gone; what was registered or removed after the list was read is left alone, so two
discoveries at once, or one beside an install, are harmless.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_app.choices import PROFILE_PROVIDERS, ModelStatus, ProviderName
from models_app.models import InstalledModel, Node
from models_app.providers.base import (
    Description,
    FoundModel,
    ModelNotFound,
    Provider,
    ProviderAway,
    ProviderFailed,
)
from models_app.providers.registry import provider_for
from models_app.services.manifest import export_manifest
from models_app.services.nodes import live_names, this_node
from models_app.services.registering import (
    JOB_LIFE_SECONDS,
    drop_row,
    facts_of,
    is_exact,
    is_of_folders,
    write_row,
)
from models_app.services.registry import Version, removals, version_key
from venom_site.lib.names import is_model_name
from venom_site.lib.queue import send_job

logger = logging.getLogger(__name__)

# A change in these means that the row must be written and perhaps described again.
TELLING = ("digest", "size_bytes", "is_remote", "path", "files")
_EMPTY: dict[str, Any] = {"digest": "", "size_bytes": None, "path": "", "files": []}
# One model that cannot be described keeps nobody from the others; a store that has
# gone away is not asked a thousand times.
MOST_FAILURES = 3


def fan_out() -> None:
    """Ask every live node, and always our own, to look into its stores."""
    for name in live_names():
        send_discovery(name)


def at_worker_start() -> None:
    """The new worker's first look comes through its queue: starting waits for none."""
    send_discovery(settings.NODE)


def send_discovery(node: str) -> None:
    send_job(
        "models_app.discover_models",
        queue=f"node.{node}",
        life_seconds=JOB_LIFE_SECONDS,
    )


def discover() -> None:
    """Compare this node's rows with every store of the profile."""
    for provider in sorted(PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]):
        discover_in(provider)
    export_manifest()


def discover_in(provider: str) -> None:
    """A store that is away, or answers with something else than a list, changes
    nothing."""
    store = provider_for(provider)
    look = _Look(this_node(), provider, store, timezone.now())
    try:
        listed = store.list_installed()
    except (ProviderAway, ProviderFailed) as error:
        logger.info("store not listed provider=%s %s", provider, error)
        return
    look.compare(listed)


class _Look:
    """One look into one store, and the moment just before its list was asked for."""

    def __init__(
        self, node: Node, provider: str, store: Provider, began: datetime
    ) -> None:
        self._node = node
        self._provider = provider
        self._store = store
        self._began = began
        self._failures = 0  # descriptions in a row that did not come

    def compare(self, listed: list[FoundModel]) -> None:
        seen = {
            version_key(found): found for found in listed if is_model_name(found.name)
        }
        known = {version_key(row): row for row in self._rows()}
        unchanged = []
        for key, found in seen.items():
            row = known.get(key)
            if row is not None and _is_as_known(row, found):
                unchanged.append(row.pk)
            else:
                self._take_up(found, row)
        InstalledModel.objects.filter(pk__in=unchanged).update(seen_at=timezone.now())
        if all(found.name for found in listed):  # else it is not the whole list
            self._drop_all_but(set(seen))

    def _rows(self) -> list[InstalledModel]:
        rows = InstalledModel.objects.filter(node=self._node, provider=self._provider)
        return list(rows.select_related("node", "capabilities"))

    def _take_up(self, found: FoundModel, known: InstalledModel | None) -> None:
        description = self._description(found, known)
        with transaction.atomic():
            rows = InstalledModel.objects.select_for_update().filter(
                node=self._node,
                provider=self._provider,
                name__iexact=found.name,
                revision=found.revision,
            )
            row = rows.first()
            if self._has_changed_since(found, known, row):
                return
            same = row is not None and _digest(row, found) == row.digest
            status, error = _state(found, row if same else None)
            write_row(
                self._node,
                found,
                provider=self._provider,
                description=description,
                status=status,
                error=error,
            )
        if not same:
            logger.info("model found provider=%s name=%s", self._provider, found.name)

    def _has_changed_since(
        self,
        found: FoundModel,
        known: InstalledModel | None,
        row: InstalledModel | None,
    ) -> bool:
        """Whether somebody registered or removed it after the list was asked for."""
        if row is not None:
            return row.seen_at >= self._began
        gone = removals(self._node, self._provider, self._began)
        return known is not None or version_key(found) in gone

    def _description(
        self, found: FoundModel, known: InstalledModel | None
    ) -> Description | None:
        """None for what is described already, or cannot be described now."""
        if (known and _is_described(known, found)) or self._failures >= MOST_FAILURES:
            return None
        try:
            description = self._store.describe(found.name, found.revision)
        except (ProviderAway, ProviderFailed, ModelNotFound) as error:
            logger.info("model not described name=%s %s", found.name, error)
            self._failures += 1
            return None
        self._failures = 0
        return description

    @transaction.atomic
    def _drop_all_but(self, listed: set[Version]) -> None:
        old = InstalledModel.objects.select_for_update().filter(
            node=self._node, provider=self._provider, seen_at__lt=self._began
        )
        for row in old:
            if version_key(row) not in listed:
                drop_row(row)
                logger.info("model gone provider=%s name=%s", row.provider, row.name)


def _state(found: FoundModel, known: InstalledModel | None) -> tuple[str, str]:
    """What the store finds wrong; else, for the same bytes, what was found before."""
    if found.error:
        return ModelStatus.BROKEN, found.error.stored()
    if known is None or is_of_folders(found):
        return ModelStatus.INSTALLED, ""
    return known.status, known.error


def _is_as_known(row: InstalledModel, found: FoundModel) -> bool:
    facts = facts_of(found)
    told = TELLING if is_exact(found) else ("is_remote",)
    same = all(getattr(row, name) == facts.get(name, _EMPTY.get(name)) for name in told)
    sound = not is_of_folders(found) or row.error == found.error.stored()
    return same and sound and _is_described(row, found)


def _is_described(row: InstalledModel, found: FoundModel) -> bool:
    same = row.described_digest == _digest(row, found)
    if found.is_foreign:  # nobody proves its bytes: other sizes are another model
        same = row.files == list(found.files)
    # Rows of Ollama from a release that knew no figures are described once more.
    has_figures = bool(row.figures) or row.provider != ProviderName.OLLAMA
    return same and has_figures and hasattr(row, "capabilities")


def _digest(row: InstalledModel, found: FoundModel) -> str:
    """A list that names no digest speaks of the one that is known."""
    told: str = facts_of(found).get("digest", row.digest)
    return told
