"""`record()`: the audit row of a service call, in that service's own transaction."""

from __future__ import annotations

from typing import Any

from history_app.models import AuditEntry
from venom_site.lib.access import Principal
from venom_site.lib.logging import channel, request_id

__all__ = ["channel", "record"]


def record(
    actor: Principal,
    verb: str,
    object_kind: str,
    object_id: object,
    *,
    object_name: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Write one entry; `before` and `after` hold plain values without secrets."""
    return AuditEntry.objects.create(
        actor=actor.name[:150],
        actor_kind=actor.kind,
        channel=channel.get(),
        verb=verb,
        object_kind=object_kind,
        object_id=str(object_id),
        object_name=object_name[:250],
        before=before or {},
        after=after or {},
        reason=reason[:250],
        request_id=request_id.get().removeprefix("-")[:64],
    )
