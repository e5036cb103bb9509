"""The manager of one practice unit: runs its program, restarts it, ends it.

One process per started unit, in a session of its own. It reads the unit's file as
systemd does (ExecStart, Environment, Restart, RestartSec, TimeoutStopSec, KillMode,
StartLimitBurst) and keeps what `systemctl show` would say. Only the standard library.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

TICK_SECONDS = 0.02
CLEAN = {0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE}


def directives(path: Path) -> dict[str, list[str]]:
    """Every directive with its values, in order; sections are not told apart."""
    found: dict[str, list[str]] = {}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        name, is_one, value = line.strip().partition("=")
        if is_one and not name.startswith(("#", ";", "[")):
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def seconds(text: str) -> float:
    parts = text.replace("min", "m").split()
    units = {"ms": 0.001, "s": 1, "m": 60}
    total = 0.0
    for part in parts:
        unit = next((u for u in ("ms", "s", "m") if part.endswith(u)), "")
        total += float(part.removesuffix(unit)) * units.get(unit, 1)
    return total


class Place:
    """The files of one practice systemd."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def unit(self, name: str) -> Path:
        return self.folder / "units" / name

    def state(self, name: str) -> Path:
        return self.folder / "state" / f"{name}.json"

    def wish(self, name: str) -> Path:
        return self.folder / "wishes" / name

    @property
    def faults(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "faults").read_text())
        except OSError:
            return {}
        return found

    def read_state(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.state(name).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    def tell(self, name: str, message: bytes, **fields: str) -> None:
        """One entry of the journal."""
        plain = message.decode("utf-8", "replace")
        is_odd = any(ord(sign) < 32 and sign not in "\t\n" for sign in plain)
        entry = {
            "__CURSOR": f"s={uuid.uuid4().hex}",
            "__REALTIME_TIMESTAMP": str(time.time_ns() // 1000),
            "MESSAGE": list(message) if is_odd else plain,
            **fields,
        }
        with (self.folder / "journal").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class Manager:
    """From the first start of a unit until it is stopped or has failed."""

    def __init__(self, place: Place, name: str) -> None:
        self.place, self.name = place, name
        self.has = {n: v[-1] for n, v in directives(place.unit(name)).items()}
        self.all = directives(place.unit(name))
        self.restarts = 0
        self.begun: list[float] = []
        self.main: subprocess.Popen[bytes] | None = None
        self.shown: dict[str, Any] = {"Manager": os.getpid()}

    def run(self) -> None:
        self.begin()
        while self.main is not None:
            wish = self.wish()
            if wish in {"stop", "restart"}:
                self.stop()
                if wish == "stop":
                    return self.rest("inactive", "dead")
                self.restarts = 0
                self.begin()
            elif self.main.poll() is not None and not self.ended():
                return None
            time.sleep(TICK_SECONDS)
        return None

    def wish(self) -> str:
        path = self.place.wish(self.name)
        try:
            said = path.read_text(encoding="utf-8")
            path.unlink()
        except OSError:
            return ""
        return said

    def show(self, active: str, sub: str, **more: Any) -> None:
        self.shown |= {"ActiveState": active, "SubState": sub, **more}
        text = json.dumps(self.shown)
        self.place.write(self.place.state(self.name), text)

    def begin(self) -> None:
        """A run of its own, with an id of its own."""
        self.begun.append(time.monotonic())
        invocation = uuid.uuid4().hex
        self.say(f"Started {self.name}.", invocation)
        try:
            self.main = subprocess.Popen(
                shlex.split(self.has["ExecStart"]),
                env={"PATH": os.environ["PATH"], **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self.say(f"Failed to execute: {error.strerror}", invocation)
            return self.rest("failed", "failed", Result="exit-code", ExecMainCode=1)
        threading.Thread(target=self.listen, args=[invocation], daemon=True).start()
        return self.show(
            *("active", "running"),
            MainPID=self.main.pid,
            InvocationID=invocation,
            NRestarts=self.restarts,
            Result="success",
            ExecMainCode=0,
            ExecMainStatus=0,
            ExecMainStartTimestamp=time.strftime(
                "%a %Y-%m-%d %H:%M:%S UTC", time.gmtime()
            ),
        )

    def environment(self) -> dict[str, str]:
        pairs = [
            w for line in self.all.get("Environment", []) for w in shlex.split(line)
        ]
        return dict(pair.split("=", 1) for pair in pairs)

    def listen(self, invocation: str) -> None:
        assert self.main
        assert self.main.stdout
        for line in self.main.stdout:
            self.place.tell(
                self.name,
                line.rstrip(b"\n"),
                _SYSTEMD_UNIT=self.name,
                SYSLOG_IDENTIFIER="practice",
                _SYSTEMD_INVOCATION_ID=invocation,
            )

    def say(self, text: str, invocation: str = "") -> None:
        self.place.tell(
            self.name,
            text.encode(),
            UNIT=self.name,
            SYSLOG_IDENTIFIER="systemd",
            INVOCATION_ID=invocation or self.shown.get("InvocationID", ""),
        )

    def ended(self) -> bool:
        """Whether the unit goes on: with its next automatic start."""
        assert self.main is not None
        code = self.main.wait()
        self.sweep()
        result = "success" if code in CLEAN else "exit-code" if code > 0 else "signal"
        self.say(f"{self.name}: Main process exited, status={code}")
        ending: dict[str, Any] = {
            "MainPID": 0,
            "Result": result,
            "ExecMainCode": 1 if code >= 0 else 2,
            "ExecMainStatus": abs(code),
        }
        policy = self.has.get("Restart", "no")
        if policy != "always" and not (policy == "on-failure" and code not in CLEAN):
            has_failed = result != "success"
            self.rest(
                *(["failed"] * 2 if has_failed else ["inactive", "dead"]), **ending
            )
            return False
        return self.again(ending)

    def again(self, ending: dict[str, Any]) -> bool:
        self.show("activating", "auto-restart", **ending)
        ends = time.monotonic() + seconds(self.has.get("RestartSec", "100ms"))
        while time.monotonic() < ends:
            if self.wish() == "stop":
                self.rest("inactive", "dead")
                return False
            time.sleep(TICK_SECONDS)
        if self.is_too_often():
            self.say(f"{self.name}: Start request repeated too quickly.")
            result = (
                "start-limit-hit" if ending["Result"] == "success" else ending["Result"]
            )
            self.rest("failed", "failed", Result=result)
            return False
        self.restarts += 1
        self.begin()
        return self.main is not None

    def is_too_often(self) -> bool:
        span = seconds(self.has.get("StartLimitIntervalSec", "10s"))
        burst = int(self.has.get("StartLimitBurst", "5"))
        recent = [at for at in self.begun if time.monotonic() - at < span]
        return span > 0 and len(recent) >= burst

    def stop(self) -> None:
        assert self.main is not None
        self.show("deactivating", "stop-sigterm")
        ends = time.monotonic() + seconds(self.has.get("TimeoutStopSec", "90s"))
        is_group = self.has.get("KillMode", "control-group") == "control-group"
        self.signal(signal.SIGTERM, is_group=is_group)
        while self.main.poll() is None and time.monotonic() < ends:
            time.sleep(TICK_SECONDS)
        if self.main.poll() is None:
            self.shown["Result"] = "timeout"
            self.signal(signal.SIGKILL, is_group=True)
        self.main.wait()
        self.sweep()

    def sweep(self) -> None:
        """What the main process left in its group."""
        if self.has.get("KillMode", "control-group") in {"control-group", "mixed"}:
            self.signal(signal.SIGKILL, is_group=True)

    def signal(self, number: int, *, is_group: bool) -> None:
        assert self.main is not None
        try:
            (os.killpg if is_group else os.kill)(self.main.pid, number)
        except ProcessLookupError:
            return

    def rest(self, active: str, sub: str, **more: Any) -> None:
        if active == "inactive" and self.shown.get("Result") == "timeout":
            active = sub = "failed"
        self.say(f"Stopped {self.name}.")
        self.main = None
        self.show(active, sub, **{"MainPID": 0, "Manager": 0, **more})


if __name__ == "__main__":
    Manager(Place(Path(sys.argv[1])), sys.argv[2]).run()
