"""The log of a server as people read it: its last lines, and what comes after them.

From the file of a process of ours or from the journal of a unit, always with secrets
masked. Only the node that runs the server can read it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from runtime_app.models import Runtime
from runtime_app.runtimes.control import ServerControl
from runtime_app.runtimes.control_unit import UnitControl
from runtime_app.runtimes.controls import ExternalControl, control_for
from venom_site.clients import server_logs
from venom_site.clients.server_logs import Mark
from venom_site.lib.errors import Conflict, WireError

MOST_LINES = 5000
_MARK = re.compile(r"(\d{1,18}):(\d{1,18})")


class NoLog(Conflict):
    """Venom neither starts this server nor knows its unit, so it has no log of it."""

    code = "no_log"


class Lines(NamedTuple):
    """`place` is how far was read: with it the next reading goes on."""

    lines: list[str]
    place: str


def last_lines(runtime: Runtime, count: int) -> list[str]:
    """The end of its log; empty where it has said nothing yet. Raises `NoLog`."""
    return _with_log(runtime).tail(count)


def first_lines(runtime: Runtime, count: int) -> Lines:
    """The end of its log and the place from which it goes on."""
    control = _with_log(runtime)
    if isinstance(control, UnitControl):
        try:
            return Lines(*control.new_lines(count))
        except WireError:
            return Lines(control.tail(count), "")
    paths = control.log_paths()
    if not paths:
        return Lines([], "")
    _none, mark = server_logs.new_lines(paths[0], None)
    return Lines(control.tail(count), _written(mark))


def lines_after(runtime: Runtime, place: str) -> Lines:
    """What came since; from the start of a log that was rotated or begun anew."""
    control = _with_log(runtime)
    if isinstance(control, UnitControl):
        return _journal_after(control, place)
    paths = control.log_paths()
    if not paths:
        return Lines([], place)
    lines, mark = server_logs.new_lines(paths[0], _read(place))
    return Lines(lines, _written(mark))


def _journal_after(control: UnitControl, place: str) -> Lines:
    try:
        return Lines(*control.new_lines(MOST_LINES, after=place))
    except WireError:
        return Lines([], place)


def _with_log(runtime: Runtime) -> ServerControl:
    if runtime.node.name != settings.NODE:
        raise NoLog(
            _("%(runtime)s runs on the node %(node)s; its log is read there.")
            % {"runtime": runtime.display_name, "node": runtime.node.name},
            runtime=runtime.name,
        )
    control = control_for(runtime)
    if isinstance(control, ExternalControl):
        raise NoLog(
            _("Venom has no log of %(runtime)s, since it does not start it.")
            % {"runtime": runtime.display_name},
            runtime=runtime.name,
        )
    return control


def _written(mark: Mark) -> str:
    return f"{mark.file}:{mark.offset}"


def _read(place: str) -> Mark:
    """The whole log for a place that nobody has given."""
    match = _MARK.fullmatch(place)
    return Mark(file=int(match[1]), offset=int(match[2])) if match else Mark()
