"""systemd as the manager of a server's unit: look, start, stop, restart.

Words of `systemctl` (systemd 230 and newer; what is said here was read in the manual
and seen with 252). Every call has a time limit, asks nobody for a password and is an
argv without a shell. A refusal is a `WireError` whose sentence names the next step.
The unit's own messages are in `journal.py`, its processes in `control_groups.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from venom_site.clients.systemd_answers import PROPERTIES, UnitSeen, seen_in
from venom_site.clients.systemd_refusals import refusal
from venom_site.lib.errors import WireError
from venom_site.lib.kept import Kept

LOOK_SECONDS = 5.0
ACT_SECONDS = 15.0  # enqueues a job, does not wait for it
KEPT_SECONDS = 5.0
# Without them `systemctl` finds no bus; it is given nothing else.
PASSED_ON = (
    *("PATH", "HOME", "XDG_RUNTIME_DIR"),
    *("DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"),
)
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}")
_AT_WORK = frozenset(
    {"initializing", "starting", "running", "degraded", "maintenance", "stopping"}
)


def unit_name(unit: str) -> str:
    """With its suffix; `WireError` for what systemd could take for an option."""
    if not _UNIT.fullmatch(unit):
        raise WireError(f"{unit[:80]!r} cannot be the name of a unit.", permanent=True)
    return unit if unit.endswith(".service") else f"{unit}.service"


def is_manager(scope: str) -> bool:
    """Whether systemd manages this machine, or this user with scope `user`.

    Kept for some seconds; never raises. False in most containers.
    """
    return _manager(scope, os.environ.get("PATH", "")).get()


def absence(scope: str) -> str:
    """Why systemd manages nothing in this scope, with what would help; empty where it
    does. Never raises, nothing is kept."""
    try:
        _asked(scope, "show", "--property=Version", to="")
    except WireError as error:
        return str(error)
    return ""


def exists(unit: str, scope: str) -> bool:
    """Whether systemd is here and has this unit; kept for seconds, never raises."""
    if not _UNIT.fullmatch(unit) or not is_manager(scope):
        return False
    return _known(unit, scope, os.environ.get("PATH", "")).get()


def look(unit: str, scope: str) -> UnitSeen:
    """The unit as it is now; one that is not there has `load_state` `not-found`.

    `WireError` when systemd is absent or does not answer in time.
    """
    name = unit_name(unit)
    properties = ",".join(PROPERTIES)
    said = _asked(scope, "show", f"--property={properties}", "--", name)
    return seen_in(said)


def start(unit: str, scope: str) -> None:
    """Ask for it and return; whether it comes up is seen by looking.

    The count of failed starts is forgotten first where it was what held it back: a
    person's or an activation's start is not one more of a loop.
    """
    before = look(unit, scope)
    if before.active_state == "failed":
        forget_failure(unit, scope)
    _act("start", unit, scope)


def stop(unit: str, scope: str) -> None:
    """Ask for it and return; systemd sends SIGTERM, then SIGKILL to the whole group."""
    _act("stop", unit, scope)


def restart(unit: str, scope: str) -> None:
    """Ask for it and return."""
    _act("restart", unit, scope)


def kill(unit: str, scope: str, signal: str) -> None:
    """Send `signal` (`SIGTERM`, `SIGKILL`) to every process of the unit."""
    _asked(scope, "kill", f"--signal={signal}", "--", unit_name(unit), to=unit)


def forget_failure(unit: str, scope: str) -> None:
    """`reset-failed`: from `failed` to `inactive`, counters back to none."""
    _asked(scope, "reset-failed", "--", unit_name(unit), to=unit)


def _act(verb: str, unit: str, scope: str) -> None:
    name = unit_name(unit)
    try:
        _asked(scope, verb, "--no-block", "--", name, to=name, seconds=ACT_SECONDS)
    finally:
        _known.cache_clear()


def run(
    program: str, *words: str, seconds: float = LOOK_SECONDS
) -> subprocess.CompletedProcess[str]:
    """`systemctl` or `journalctl` with its answer as text, in English and in UTC.

    `WireError` when the program is missing or does not answer in time.
    """
    place = shutil.which(program)
    if place is None:
        raise WireError(
            f"There is no program {program} here: systemd does not manage this "
            "machine. Servers are started as processes of Venom's own.",
            permanent=True,
            reason_code="OFFLINE",
        )
    try:
        return subprocess.run(  # noqa: S603  (argv of ours, no shell)
            [place, "--no-pager", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WireError(f"{program} did not answer within {seconds:.0f} s.") from None
    except OSError as error:
        raise WireError(f"{program} does not start: {error.strerror}.") from None


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = Path(f"/run/user/{os.getuid()}")
    if "XDG_RUNTIME_DIR" not in passed_on and own.is_dir():
        passed_on["XDG_RUNTIME_DIR"] = str(own)  # services have no session of their own
    return {**passed_on, "LC_ALL": "C", "TZ": "UTC", "SYSTEMD_COLORS": "0"}


def _scope(scope: str) -> list[str]:
    return ["--user"] if scope == "user" else []


def _asked(
    scope: str, verb: str, *words: str, to: str = "", seconds: float = LOOK_SECONDS
) -> str:
    given = [*_scope(scope), "--no-ask-password", verb, *words]
    answer = run("systemctl", *given, seconds=seconds)
    if answer.returncode != 0:
        raise refusal(verb, to or words[-1], scope, answer.stderr or answer.stdout)
    return answer.stdout


@lru_cache(maxsize=8)
def _manager(scope: str, path: str) -> Kept[bool]:
    """By the PATH too: with another one it may be another `systemctl`."""

    def read() -> bool:
        try:
            answer = run("systemctl", *_scope(scope), "is-system-running")
        except WireError:
            return False
        return answer.stdout.strip() in _AT_WORK

    return Kept(read, at_least=KEPT_SECONDS)


@lru_cache(maxsize=32)
def _known(unit: str, scope: str, path: str) -> Kept[bool]:
    def read() -> bool:
        try:
            return look(unit, scope).exists
        except WireError:
            return False

    return Kept(read, at_least=KEPT_SECONDS)
