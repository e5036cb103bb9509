"""What is kept of a server's process in its row, and told to pages and gateways."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from runtime_app.events import runtime_changed
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.runtimes.control import ProcessSeen
from runtime_app.schemas import server_payload
from venom_site.lib.events import publish

# A server that is not there: nothing of it is left in the row but its last model.
GONE: dict[str, Any] = {
    "process": "",
    "pid": None,
    "process_started_at": None,
    "memory_bytes": None,
    "vram_bytes": None,
    "loaded_models": [],
}


def note(runtime: Runtime, **fields: Any) -> None:
    """Write fields of the row at once and tell who looks; `runtime` is as it is then.

    What somebody asked for is no sign of an unstable server, so a status written here
    does not count among its changes.
    """
    if fields.get("status", runtime.status) != runtime.status:
        fields["changed_at"] = timezone.now()
    with transaction.atomic():
        Runtime.objects.filter(pk=runtime.pk).update(**fields)
        if "status" in fields:
            bump_policy()
        runtime.refresh_from_db()
        publish(runtime_changed(server_payload(runtime)))


def process_fields(seen: ProcessSeen) -> dict[str, Any]:
    """The columns that one look at the process fills; what it cannot say is left.

    Of a foreign server the sampler says who it is; memory is always the sampler's, so
    that two ways of counting do not take turns.
    """
    fields: dict[str, Any] = {
        "process": seen.identity,
        "holder": asdict(seen.holder) if seen.holder else {},
    }
    if seen.state != "unknown" and seen.holder is None:
        fields |= {"pid": seen.pid, "process_started_at": seen.started_at}
    if seen.restarts is not None:
        fields["restarts"] = seen.restarts
    return fields
