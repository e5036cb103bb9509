"""What a model was seen to take of memory, kept beside the estimate.

Called by the upper floor whenever it looks into a runtime; written only where it tells
something new, since a look comes every five seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from models_app.models import InstalledModel

SAME_WITHIN = 0.01  # less is the same load, counted again
LARGEST_BYTES = 2**63 - 1
LONGEST_CONTEXT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemory:
    """One model in the memory of a runtime: all its bytes, GPU and not, and the
    context that they hold; as the runtime names it."""

    name: str
    size_bytes: int
    context_length: int


def note_measured(node_id: UUID, provider: str, seen: Iterable[InMemory]) -> None:
    """Keep what these models take; at most one query where nothing changed."""
    by_name = {each.name.lower(): each for each in seen if _is_possible(each)}
    if not by_name:
        return
    rows = InstalledModel.objects.filter(node_id=node_id, provider=provider)
    held = rows.only("name", "measured_bytes", "measured_context")
    for row in held:
        found = by_name.get(row.name.lower())
        if found is not None and _tells_more(row, found):
            rows.filter(pk=row.pk).update(
                measured_bytes=found.size_bytes,
                measured_context=found.context_length,
                measured_at=timezone.now(),
            )


def _is_possible(seen: InMemory) -> bool:
    return (
        0 < seen.size_bytes <= LARGEST_BYTES
        and 0 < seen.context_length <= LONGEST_CONTEXT
    )


def _tells_more(row: InstalledModel, seen: InMemory) -> bool:
    if not row.measured_bytes or row.measured_context != seen.context_length:
        return True
    moved = abs(row.measured_bytes - seen.size_bytes)
    return moved > SAME_WITHIN * row.measured_bytes
