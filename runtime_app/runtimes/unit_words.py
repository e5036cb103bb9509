"""What systemd says of a unit, in our words."""

from __future__ import annotations

from venom_site.clients.systemd_answers import UnitSeen

_STATES = {
    "active": "running",
    "reloading": "running",
    "refreshing": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "maintenance": "stopping",
    "inactive": "stopped",
    "failed": "crashed",
}
_RESULTS = {
    "start-limit-hit": "It was started too often in a short time.",
    "oom-kill": "The kernel ended it: the machine had no memory left.",
    "timeout": "It did not start or stop in the time that its unit gives it.",
    "watchdog": "Its watchdog heard nothing of it.",
    "resources": "systemd could not give it what its unit asks for.",
}


def state_of(seen: UnitSeen) -> str:
    """`ProcessSeen.state`. One that waits for its next automatic start has crashed:
    it was to run and does not; `restarts` says how often."""
    if seen.waits_to_restart:
        return "crashed"
    if not seen.exists and seen.has_ended:
        return "unknown"
    return _STATES.get(seen.active_state, "unknown")


def result_of(seen: UnitSeen) -> str:
    """Why it is not running, as far as systemd knows; empty for an ordinary end."""
    if sentence := _RESULTS.get(seen.result):
        return sentence
    if seen.load_state == "bad-setting":
        return f"The file of the unit has a mistake: {seen.path}."
    if seen.exit_code is None or state_of(seen) not in {"crashed", "stopped"}:
        return ""
    if seen.exit_code < 0:
        return f"It was ended by signal {-seen.exit_code}."
    return f"It ended with code {seen.exit_code}." if seen.exit_code else ""


def is_at_work(seen: UnitSeen) -> bool:
    """Whether there is a process, or one is just coming or going."""
    return not seen.has_ended and not seen.waits_to_restart
