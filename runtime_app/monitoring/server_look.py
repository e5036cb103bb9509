"""The process behind a server, as the health check sees it, and what follows from it.

Looking happens in the check's threads and touches no database; minding afterwards does.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from runtime_app.choices import ManagedBy, Wish
from runtime_app.models import Runtime
from runtime_app.monitoring.server_states import is_crash, is_unit_crash
from runtime_app.runtimes import controls
from runtime_app.runtimes.control import ProcessSeen
from runtime_app.services import crashes
from runtime_app.services.server_rows import process_fields

logger = logging.getLogger(__name__)


class Process(NamedTuple):
    """What the control of a server sees; `cause` only of one that ended unasked."""

    seen: ProcessSeen
    managed_by: str
    cause: str = ""

    @property
    def is_alive(self) -> bool:
        return self.seen.state in controls.ALIVE

    @property
    def is_gone(self) -> bool:
        """It ran and has ended: a port that is closed is no slow answer."""
        return self.seen.state == "crashed"


def process_of(runtime: Runtime) -> Process | None:
    """None when it could not be looked at: then only the port tells."""
    try:
        control = controls.control_for(runtime)
        seen = control.look()
        if seen.state == "unknown" and control.managed_by != ManagedBy.EXTERNAL:
            return None
        adopted = controls.is_adopted(runtime, seen)
        managed_by = ManagedBy.EXTERNAL if adopted else control.managed_by
        is_lost = seen.state == "crashed" and runtime.wish != Wish.STOPPED
        return Process(seen, managed_by, control.cause() if is_lost else "")
    except Exception:
        logger.exception("look at a process defect runtime=%s", runtime.name)
        return None


def mind(runtime: Runtime, process: Process | None) -> None:
    """What should run and is gone; what has come back; what is due again."""
    if process is None:
        return
    seen, managed_by = process.seen, process.managed_by
    if is_unit_crash(runtime, seen, managed_by):
        is_down = seen.state == "crashed"
        crashes.note_unit_crash(runtime, process.cause, is_down=is_down)
    elif managed_by == ManagedBy.PROCESS and is_crash(runtime, seen):
        crashes.note_crash(runtime, process.cause)
    elif seen.state == "running":
        crashes.note_serving(runtime)
    if seen.holder is None:
        crashes.start_again(runtime)


def process_changed(runtime: Runtime, process: Process | None) -> dict[str, Any]:
    """What is new of its process. The identity of one that is gone stays: it is ended
    and forgotten by whoever stops or starts the server."""
    if process is None:
        return {}
    fields = process_fields(process.seen) | {"managed_by": process.managed_by}
    if not fields["process"]:
        del fields["process"]
    return {
        name: value for name, value in fields.items() if getattr(runtime, name) != value
    }
