"""The log of a server as a person reads it: its end, by level and by words.

Files and journal are read where the server runs; another node's are said to lie there.
Secrets are masked by whoever reads them. `matching` and `level_of` are pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from runtime_app.choices import ManagedBy
from runtime_app.models import Runtime
from runtime_app.runtimes.controls import control_for
from venom_site.clients import server_logs

LINES_SHOWN = 200
# A filter looks through more than it shows: an error an hour ago is what people seek.
LINES_SEARCHED = 5_000
LINES_SAVED = 50_000
LEVELS = ("error", "warning", "info")
_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL|panic|Traceback)\b|\blevel=(?:error|fatal)\b|Error:",
)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|\blevel=warn", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLog:
    """`lines` are the last that match, the oldest first; `why` says why there are
    none to be had, `has_previous` whether a run before this one is kept."""

    lines: list[Line] = field(default_factory=list)
    has_previous: bool = False
    in_journal: bool = False
    why: str = ""


def read_log(
    runtime: Runtime,
    *,
    level: str = "",
    words: str = "",
    previous: bool = False,
) -> ServerLog:
    """The last 200 lines that match; of the run before with `previous`."""
    if why := _unreadable(runtime):
        return ServerLog(why=why)
    control = control_for(runtime)
    paths = control.log_paths()
    most = LINES_SEARCHED if level or words else LINES_SHOWN
    found = _previous(paths, most) if previous else control.tail(most)
    return ServerLog(
        lines=matching(found, level=level, words=words)[-LINES_SHOWN:],
        has_previous=len(paths) > 1,
        in_journal=control.managed_by == ManagedBy.SYSTEMD,
    )


def whole_log(runtime: Runtime, *, previous: bool = False) -> list[str]:
    """What is downloaded: the last 50,000 lines, secrets masked; empty without one."""
    if _unreadable(runtime):
        return []
    control = control_for(runtime)
    if previous:
        return _previous(control.log_paths(), LINES_SAVED)
    return control.tail(LINES_SAVED)


def _previous(paths: list[Path], lines: int) -> list[str]:
    return server_logs.tail(paths[1], lines) if len(paths) > 1 else []


def _unreadable(runtime: Runtime) -> str:
    if runtime.node.name != settings.NODE:
        words = _("%(name)s runs on %(node)s: its log is read there.")
        return words % {"name": runtime.display_name, "node": runtime.node.name}
    if runtime.managed_by == ManagedBy.EXTERNAL:
        words = _(
            "Venom has not started %(name)s, so it does not have its log. Whoever "
            "starts it knows where it goes."
        )
        return words % {"name": runtime.display_name}
    return ""


def matching(lines: Iterable[str], *, level: str = "", words: str = "") -> list[Line]:
    """Those of that level or worse that hold the words, whatever their case. A line
    without a level of its own goes on with that of the line before: a traceback."""
    wanted = LEVELS[: LEVELS.index(level) + 1] if level in LEVELS else LEVELS
    found, before = [], "info"
    for text in lines:
        before = level_of(text, before)
        if before in wanted and words.lower() in text.lower():
            found.append(Line(text, before))
    return found


def level_of(text: str, before: str = "info") -> str:
    """`error`, `warning` or `info`, as vLLM, Ollama and llama-server write them."""
    if _ERROR.search(text):
        return "error"
    if _WARNING.search(text):
        return "warning"
    goes_on = text[:1].isspace() and before == "error"
    return "error" if goes_on else "info"
