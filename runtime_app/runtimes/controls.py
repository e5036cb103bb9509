"""Which control starts, stops and watches the server of a row.

The unit of systemd when it exists, else a process of our own when its command is here,
else nobody. Cheap: what costs something is kept by the clients. A server that somebody
else started on our port is a matter of what the control sees (`ProcessSeen.holder`),
not of this choice: `is_adopted` tells it.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from runtime_app.choices import ManagedBy, RuntimeKind, Wish
from runtime_app.models import Runtime
from runtime_app.runtimes.base import Check
from runtime_app.runtimes.control import Launch, ProcessSeen, ServerControl
from runtime_app.runtimes.control_process import ProcessControl
from runtime_app.runtimes.control_unit import UnitControl
from runtime_app.runtimes.launches import (
    COMMANDS,
    BadServerSetting,
    CommandMissing,
    command_of,
)
from venom_site.clients import here, systemd
from venom_site.lib.errors import WireError

UNITS = {
    RuntimeKind.OLLAMA.value: "OLLAMA_SYSTEMD_UNIT",
    RuntimeKind.VLLM.value: "VLLM_SYSTEMD_UNIT",
}
ALIVE = frozenset({"running", "starting", "stopping"})


class ExternalControl:
    """A server that Venom only asks: `why` says so in the caller's language."""

    managed_by = ManagedBy.EXTERNAL
    supports: frozenset[str] = frozenset()

    def __init__(self, why: str = "") -> None:
        self.why = why

    def look(self) -> ProcessSeen:
        return ProcessSeen(state="unknown")

    def start(self, launch: Launch) -> ProcessSeen:
        raise WireError(self.why, permanent=True)

    def stop(self, *, grace_seconds: float, check: Check) -> None:
        raise WireError(self.why, permanent=True)

    def log_paths(self) -> list[Path]:
        return []

    def tail(self, lines: int) -> list[str]:
        return []

    def cause(self) -> str:
        return ""


def control_for(runtime: Runtime) -> ServerControl:
    """The control of this row on this node; an `ExternalControl` where neither a unit
    nor a command of ours runs it."""
    if why := _why_not_here(runtime):
        return ExternalControl(why)
    unit, scope = unit_of(runtime), settings.ENV.VENOM_SYSTEMD_SCOPE
    if unit and systemd.exists(unit, scope):
        return UnitControl(name=runtime.name, unit=unit, scope=scope, port=runtime.port)
    try:
        command = tuple(command_of(runtime))
    except (CommandMissing, BadServerSetting) as error:
        if not runtime.process:
            return ExternalControl(str(error))
        command = ()  # what runs can be stopped without it
    return ProcessControl(
        name=runtime.name,
        port=runtime.port,
        identity=runtime.process,
        node=settings.NODE,
        command=command,
    )


def unit_of(runtime: Runtime) -> str:
    """The unit that the settings name for this kind of server; empty for none."""
    setting = UNITS.get(runtime.kind, "")
    return str(getattr(settings.ENV, setting)) if setting else ""


def is_adopted(runtime: Runtime, seen: ProcessSeen) -> bool:
    """Somebody else's server stands on our port and nobody wants ours to run: it is
    observed and asked, never stopped."""
    is_foreign = seen.holder is not None and seen.state not in ALIVE
    return is_foreign and runtime.wish != Wish.RUNNING


def is_conflict(runtime: Runtime, seen: ProcessSeen) -> bool:
    """Ours is to run, and a process that is not ours holds its port."""
    is_foreign = seen.holder is not None and seen.state not in ALIVE
    return is_foreign and runtime.wish == Wish.RUNNING


def _why_not_here(runtime: Runtime) -> str:
    if runtime.kind not in COMMANDS:
        return _("%(runtime)s was added by hand: Venom asks it and never stops it.") % {
            "runtime": runtime.display_name
        }
    parts = urlsplit(runtime.base_url)
    if runtime.node.name != settings.NODE:
        return _("%(runtime)s is on the node %(node)s.") % {
            "runtime": runtime.display_name,
            "node": runtime.node.name,
        }
    if parts.scheme != "http" or not here.is_this_machine(runtime.host):
        return _(
            "%(runtime)s is at %(address)s, which is not an address of this machine. "
            "Start and stop it there."
        ) % {"runtime": runtime.display_name, "address": runtime.base_url}
    return ""
