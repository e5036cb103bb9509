"""What `systemctl` complains about, as a sentence with the next step.

Its words were read in systemd 230 to 257; they are not translated under LC_ALL=C.
"""

from __future__ import annotations

import re

from venom_site.lib.errors import WireError
from venom_site.lib.logging import without_secrets

LONGEST_COMPLAINT = 300

_DENIED = re.compile(
    r"interactive authentication required|access denied|permission denied|"
    r"not (?:been )?authori[sz]ed|authentication (?:is )?required|"
    r"operation not permitted|password is required",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"not been booted with systemd|failed to connect to (?:system|user)?.{0,20}bus|"
    r"host is down|no medium found|XDG_RUNTIME_DIR not",
    re.IGNORECASE,
)
_MISSING = re.compile(r"not found|not loaded|no such file", re.IGNORECASE)
_MASKED = re.compile(r"is masked", re.IGNORECASE)
_BAD = re.compile(r"bad[ -](?:unit file )?setting|bad unit file|invalid argument", re.I)
_LIMIT = re.compile(r"too quickly|start-limit-hit|attempted too often", re.IGNORECASE)


class UnitRefused(WireError):
    """systemd is there and does not let us; the sentence says what would."""


def refusal(verb: str, unit: str, scope: str, complaint: str) -> WireError:
    """The error to raise for a call that ended with another code than 0."""
    said = without_secrets(" ".join(complaint.split()))[:LONGEST_COMPLAINT]
    command = f"systemctl {'--user ' if scope == 'user' else ''}{verb} {unit}"
    if _DENIED.search(said):
        return _denied(verb, unit, scope, command)
    if scope == "user" and _ABSENT.search(said):
        return _no_manager_of_the_user(said)
    for pattern, sentence in _SENTENCES:
        if pattern.search(said):
            return WireError(
                sentence.format(unit=unit, user=_flag(scope), said=said),
                permanent=True,
                reason_code="OFFLINE" if pattern is _ABSENT else "DEGRADED",
            )
    return WireError(f"“{command}” failed: {said or 'it gave no reason'}.")


def _flag(scope: str) -> str:
    return "--user " if scope == "user" else ""


def _denied(verb: str, unit: str, scope: str, command: str) -> UnitRefused:
    if scope == "user":
        remedy = f"Run it as the user of the unit: {command}."
    else:
        remedy = (
            f"Run: sudo {command}. To let Venom do it, install the polkit rule of "
            "scripts/systemd/README.md, or run the unit in the user scope "
            "(VENOM_SYSTEMD_SCOPE=user)."
        )
    return UnitRefused(
        f"systemd does not let this user {verb} {unit}. {remedy}",
        permanent=True,
        reason_code="AUTH_ERROR",
    )


def _no_manager_of_the_user(said: str) -> WireError:
    return WireError(
        f"This user has no manager of systemd (systemctl --user: {said}). Without one, "
        "servers are started as processes of Venom's own. To have it, run: sudo "
        "loginctl enable-linger USER, then start Venom anew.",
        permanent=True,
        reason_code="OFFLINE",
    )


_SENTENCES = (
    (
        _ABSENT,
        "systemd does not manage this machine: {said}. Without it, servers are "
        "started as processes of Venom's own.",
    ),
    (_MASKED, "The unit {unit} is masked. Run: systemctl {user}unmask {unit}."),
    (
        _LIMIT,
        "The unit {unit} was started too often in a short time. Look at its log, then "
        "run: systemctl {user}reset-failed {unit}.",
    ),
    (
        _BAD,
        "The file of the unit {unit} has a mistake ({said}). Run: systemd-analyze "
        "verify {unit}.",
    ),
    (
        _MISSING,
        "systemd has no unit {unit}. Install it from scripts/systemd, then run: "
        "systemctl {user}daemon-reload.",
    ),
)
