"""How full the stores of a node are: the quota, what is reserved, the disk itself.

The quota counts what the product manages, the disk everything. Both are asked before
a download starts; neither is a promise that nobody else writes meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Case, CharField, Max, Sum, When
from django.db.models import Value as V
from django.db.models.functions import Cast, Coalesce, NullIf

from models_app.choices import PROFILE_PROVIDERS, VERSIONED_PROVIDERS, OperationType
from models_app.models import InstalledModel, Node, Operation
from models_app.providers.base import HalfModel
from models_app.providers.registry import provider_for
from models_app.querysets import OperationQuerySet
from venom_site.clients import hardware
from venom_site.lib.errors import InvalidBody
from venom_site.lib.units import GB

logger = logging.getLogger(__name__)

Version = tuple[str, str]  # lower-cased name and revision
DISK_RESERVE_BYTES = GB // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Bytes. `free_bytes` is what the quota leaves; the disk's own figures are None
    where the store lies on a machine or in a folder that cannot be asked."""

    used_bytes: int
    reserved_bytes: int
    limit_bytes: int
    disk_free_bytes: int | None
    disk_total_bytes: int | None

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes - self.reserved_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """`limit` is `quota` or `disk`."""

    limit: str
    needed_bytes: int
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        return self.needed_bytes - self.free_bytes


def storage_of(
    node: Node,
    *,
    without: Operation | None = None,
    installs: list[Operation] | None = None,
    fetching: Version | None = None,
    provider: str = "",
) -> Storage:
    """As of now; `without` is an install whose own reservation does not count, and
    `fetching` a name and revision whose half fetch will be gone on with. Who has the
    node's open installs at hand gives them. The disk is that of `provider`'s store."""
    is_here = node.name == settings.NODE
    disk = _disk(provider) if is_here else None
    opened = list(_open_installs(node)) if installs is None else installs
    others = [each for each in opened if without is None or each.pk != without.pk]
    going_on = {version_of(each) for each in opened} | {fetching}
    return Storage(
        used_bytes=_used(node) + (_left_behind(going_on) if is_here else 0),
        reserved_bytes=sum(map(reservation, others)),
        limit_bytes=int(settings.ENV.MODELS_MAX_DISK_GB * GB),
        disk_free_bytes=disk.total_bytes - disk.used_bytes if disk else None,
        disk_total_bytes=disk.total_bytes if disk else None,
    )


def shortage(storage: Storage, needed: int, *, here: int = 0) -> Shortage | None:
    """What `needed` bytes lack, the quota first; `here` of them are on disk already."""
    if needed > storage.free_bytes:
        return Shortage(
            limit="quota", needed_bytes=needed, free_bytes=storage.free_bytes
        )
    if storage.disk_free_bytes is None:
        return None
    free = max(0, storage.disk_free_bytes - DISK_RESERVE_BYTES)
    coming = max(0, needed - here)
    if coming and coming > free:
        return Shortage(limit="disk", needed_bytes=coming, free_bytes=free)
    return None


def _used(node: Node) -> int:
    """What we manage. Two names of one content lie on the disk once, except where each
    has a folder of its own; what others put into scanned folders is theirs."""
    rows = InstalledModel.objects.filter(
        node=node, size_bytes__isnull=False, is_foreign=False
    )
    alone = Cast("pk", CharField())
    content = Case(
        When(provider__in=VERSIONED_PROVIDERS, then=alone),
        default=Coalesce(NullIf("digest", V("")), alone),
    )
    each = rows.order_by().values("provider", content=content)
    held = each.annotate(size=Max("size_bytes")).aggregate(total=Sum("size"))
    return held["total"] or 0


def _left_behind(going_on: set[Version | None]) -> int:
    """Half fetches on this disk that no open install has room reserved for."""
    return sum(
        half.size_bytes
        for provider in sorted(PROFILE_PROVIDERS[settings.RUNTIME_PROFILE])
        for half in halves_of(provider)
        if (half.name.lower(), half.revision) not in going_on
    )


def halves_of(provider: str) -> list[HalfModel]:
    """Empty where the store's folder cannot be read: sizes are no reason to fail."""
    try:
        return provider_for(provider).list_partials()
    except InvalidBody:  # a provider of a later version
        return []
    except OSError as error:
        logger.warning("half fetches not counted provider=%s %s", provider, error)
        return []


def version_of(install: Operation) -> Version:
    """The name and the revision that an install is about, as far as it is known."""
    revision = install.checkpoint.get("revision") or install.params.get("revision", "")
    return install.model_name.lower(), str(revision)


def _open_installs(node: Node) -> OperationQuerySet:
    rows: OperationQuerySet = Operation.objects.open().filter(
        node=node, operation_type=OperationType.INSTALL
    )
    return rows.only("params", "checkpoint", "model_name", "bytes_total")


def reservation(operation: Operation) -> int:
    """What an open install will need; its total is known better once it runs."""
    reserved = operation.params.get("reserved_bytes")
    if not isinstance(reserved, int) or reserved <= 0:
        return 0
    return max(reserved, operation.bytes_total or 0)


def _disk(provider: str) -> hardware.Filled | None:
    """The disk under this store, else under the first of this profile that knows its
    folder."""
    shown = sorted(PROFILE_PROVIDERS[settings.RUNTIME_PROFILE])
    for name in sorted(shown, key=lambda each: each != provider):
        try:
            folder = provider_for(name).store_folder()
        except InvalidBody:  # a provider of a later version
            continue
        found = hardware.disk(folder) if folder else None
        if found is not None:
            return found
    return None
