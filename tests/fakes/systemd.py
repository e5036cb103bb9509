#!/usr/bin/env python3
"""Practice `systemctl` and `journalctl`: a real process per unit, and ways to refuse.

    python tests/fakes/systemd.py FOLDER systemctl start vllm.service

FOLDER holds `units/*.service`. The words of success and refusal are those of systemd
252. Only the standard library, so it also runs by its path alone; `systemd_bench.py`
puts both on a test's PATH.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # wherever it is run

from tests.fakes.systemd_unit import Manager, Place, directives

ABSENT = (
    "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    "Failed to connect to bus: Host is down"
)
DENIED = "Interactive authentication required."
JOURNAL_DENIED = (
    "Hint: You are currently not seeing messages from other users and the system.\n"
    "      Users in groups 'adm', 'systemd-journal' can see all messages.\n"
    "No journal files were opened due to insufficient permissions."
)
DONE_SECONDS = 30


class Refusal(Exception):
    """What goes to stderr, and the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def main(words: list[str]) -> int:
    place = Place(Path(words[0]))
    options = [word for word in words[2:] if word.startswith("-")]
    plain = [word for word in words[2:] if not word.startswith("-")]
    time.sleep(place.faults.get("hang", 0))
    try:
        if words[1] == "journalctl":
            journalctl(place, options, plain)
        else:
            systemctl(place, options, plain)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    return 0


def systemctl(place: Place, options: list[str], words: list[str]) -> None:
    verb, *units = words
    if place.faults.get("absent"):
        if verb == "is-system-running":
            print("offline")
            raise Refusal("")
        raise Refusal(ABSENT)
    if verb == "is-system-running":
        print("degraded")
        raise Refusal("")
    for unit in units:
        if verb == "show":
            show(place, unit, options)
        else:
            refuse(place, verb, unit)
            {"start": start, "stop": stop, "restart": restart}.get(verb, other)(
                *(place, unit, [verb, *options])
            )


def refuse(place: Place, verb: str, unit: str) -> None:
    if verb in place.faults.get("denied", []):
        raise Refusal(f"Failed to {verb} {unit}: {DENIED}", 4)
    if unit in place.faults.get("masked", []):
        raise Refusal(f"Failed to {verb} {unit}: Unit {unit} is masked.")
    if not place.unit(unit).is_file():
        word = "found" if verb in {"start", "restart"} else "loaded"
        raise Refusal(f"Failed to {verb} {unit}: Unit {unit} not {word}.", 5)


def show(place: Place, unit: str, options: list[str]) -> None:
    asked = next(o for o in options if o.startswith("--property=")).partition("=")[2]
    told: dict[str, Any] = {
        "LoadState": load_state(place, unit),
        "ActiveState": "inactive",
        "SubState": "dead",
        "Result": "success",
        "MainPID": 0,
        "NRestarts": 0,
        "TimeoutStopUSec": "1min 30s",
    } | place.read_state(unit)
    if place.unit(unit).is_file():
        has = directives(place.unit(unit))
        told["FragmentPath"] = str(place.unit(unit))
        told["ExecStart"] = f"{{ argv[]={has['ExecStart'][-1]} ; }}"
        told["TimeoutStopUSec"] = has.get("TimeoutStopSec", ["1min 30s"])[-1]
    for name in asked.split(","):
        print(f"{name}={told.get(name, '')}")


def load_state(place: Place, unit: str) -> str:
    if unit in place.faults.get("masked", []):
        return "masked"
    return "loaded" if place.unit(unit).is_file() else "not-found"


def is_managed(place: Place, unit: str) -> bool:
    pid = place.read_state(unit).get("Manager")
    return bool(pid) and Path(f"/proc/{pid}").exists()


def start(place: Place, unit: str, given: list[str]) -> None:
    if is_managed(place, unit):
        return
    if place.read_state(unit).get("Result") == "start-limit-hit":
        return  # the job fails, which --no-block does not wait for
    place.wish(unit).unlink(missing_ok=True)
    manager = Manager(place, unit)
    manager.shown["Manager"] = 0
    manager.show("activating", "start", MainPID=0)
    program = Path(__file__).with_name("systemd_unit.py")
    subprocess.Popen(
        [sys.executable, "-S", str(program), str(place.folder), unit],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ends = time.monotonic() + DONE_SECONDS
    while place.read_state(unit)["ActiveState"] == "activating":
        if time.monotonic() > ends:
            raise Refusal(f"Job for {unit} timed out.")
        time.sleep(0.01)


def stop(place: Place, unit: str, given: list[str]) -> None:
    if is_managed(place, unit):
        place.write(place.wish(unit), "stop")
    if "--no-block" not in given:
        ends = time.monotonic() + DONE_SECONDS
        while is_managed(place, unit) and time.monotonic() < ends:
            time.sleep(0.02)


def restart(place: Place, unit: str, given: list[str]) -> None:
    if is_managed(place, unit):
        place.write(place.wish(unit), "restart")
    else:
        start(place, unit, given)


def other(place: Place, unit: str, given: list[str]) -> None:
    if given[0] == "reset-failed":
        state = place.read_state(unit)
        if state.get("ActiveState") == "failed":
            fresh = {"ActiveState": "inactive", "SubState": "dead", "Result": "success"}
            place.write(place.state(unit), json.dumps(state | fresh))
        return
    if given[0] != "kill":
        raise Refusal(f"Unknown command verb {given[0]}.")
    named = next(o for o in given if o.startswith("--signal=")).partition("=")[2]
    pid = place.read_state(unit).get("MainPID")
    if not pid:
        raise Refusal(f"Failed to kill unit {unit}: No process to kill")
    os.killpg(pid, signal.Signals[named])


def journalctl(place: Place, options: list[str], words: list[str]) -> None:
    if place.faults.get("journal") == "denied":
        raise Refusal(JOURNAL_DENIED)
    given = dict(option[2:].partition("=")[::2] for option in options)
    entries = [entry for entry in journal(place) if is_meant(entry, given, words)]
    if after := given.get("after-cursor"):
        cursors = [entry["__CURSOR"] for entry in journal(place)]
        if after not in cursors:
            raise Refusal("Failed to seek to cursor: Invalid argument")
        later = cursors[cursors.index(after) + 1 :]
        entries = [entry for entry in entries if entry["__CURSOR"] in later]
    for entry in entries[-int(given.get("lines", "1000")) :]:
        print(json.dumps(entry))


def journal(place: Place) -> list[dict[str, Any]]:
    try:
        lines = (place.folder / "journal").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line) for line in lines]


def is_meant(entry: dict[str, Any], given: dict[str, str], words: list[str]) -> bool:
    """By unit, or by any of `FIELD=value + FIELD=value`."""
    unit = given.get("unit") or given.get("user-unit")
    if unit and unit not in {entry.get("_SYSTEMD_UNIT"), entry.get("UNIT")}:
        return False
    pairs = [word.partition("=")[::2] for word in words if word != "+"]
    return not pairs or any(entry.get(name) == value for name, value in pairs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
