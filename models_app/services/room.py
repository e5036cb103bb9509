"""Making room: which models could leave so that another one fits.

`choose` is pure; `proposal_for` reads the rows. Nothing is removed here: a person, or a
program that was told the names, decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from models_app.choices import VERSIONED_PROVIDERS, OperationType
from models_app.models import InstalledModel, Node, Operation
from models_app.schemas.models import size_gb
from venom_site.lib.units import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may leave. `used_at` is when it was last used, else when it came."""

    model: InstalledModel
    size_bytes: int
    used_at: datetime


def choose(candidates: Sequence[Candidate], needed_bytes: int) -> list[Candidate]:
    """The longest unused ones that free so much, and none more than it takes; empty
    where all of them would not do."""
    chosen: list[Candidate] = []
    freed = 0
    for each in sorted(candidates, key=lambda one: one.used_at):
        if freed >= needed_bytes:
            break
        chosen.append(each)
        freed += each.size_bytes
    if freed < needed_bytes:
        return []
    for each in reversed(chosen[:]):  # a large one may have made earlier ones needless
        if freed - each.size_bytes >= needed_bytes:
            chosen.remove(each)
            freed -= each.size_bytes
    return chosen


def proposal_for(node: Node, needed_bytes: int) -> list[InstalledModel]:
    """Models of this node to remove so that this many bytes come free."""
    if needed_bytes <= 0:
        return []
    return [each.model for each in choose(_candidates(node), needed_bytes)]


def _candidates(node: Node) -> list[Candidate]:
    """Nobody's favourite, not active, not in the midst of something, and ours; a name
    whose bytes another name holds too would free nothing."""
    busy = Operation.objects.open().filter(
        node_id=OuterRef("node_id"),
        provider=OuterRef("provider"),
        model_name__iexact=OuterRef("name"),
        operation_type__in=(OperationType.INSTALL, OperationType.REMOVE),
    )
    rows = (
        InstalledModel.objects.filter(node=node, pinned=False, size_bytes__gt=0)
        .filter(is_foreign=False, is_remote=False)
        .with_activity()
        .filter(~Exists(busy))
        .select_related("node")
    )
    shared = _shared(node)
    return [
        Candidate(
            model=row,
            size_bytes=row.size_bytes or 0,
            used_at=row.last_used_at or row.installed_at,
        )
        for row in rows
        if not row.is_active and (row.provider, row.digest) not in shared
    ]


def _shared(node: Node) -> set[tuple[str, str]]:
    held: dict[tuple[str, str], int] = {}
    rows = InstalledModel.objects.filter(node=node).exclude(digest="")
    for key in rows.exclude(provider__in=VERSIONED_PROVIDERS).values_list(
        "provider", "digest"
    ):
        held[key] = held.get(key, 0) + 1
    return {key for key, names in held.items() if names > 1}


def proposal_payload(models: Sequence[InstalledModel]) -> list[dict[str, Any]]:
    """The shape of `proposal` in docs/api.md."""
    return [
        {
            "name": model.name,
            "provider": model.provider,
            "revision": model.revision or None,
            "size_gb": size_gb(model.size_bytes),
            "size_bytes": model.size_bytes,
            "last_used_at": iso(model.last_used_at),
        }
        for model in models
    ]
