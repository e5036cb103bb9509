"""Keeps the roles of one machine alive and ends them together.

`up.py` makes a `Supervisor` in the main thread, starts roles and then calls `run()`.
Each child leads a session of its own, so that Ctrl-C reaches only us and its leftovers
can be ended as a group; it dies with us through a pipe (`parent_watch.py`). Plain
standard library, no Django: this process stays small and has little that can break.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from venom_site.embedded.parent_watch import PIPE_VARIABLE

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONG_LIFE_SECONDS = 10.0
BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
STOP_GRACE_SECONDS = 8.0
KILL_PATIENCE_SECONDS = 1.5  # 8 s of grace and this stay within the promised 10 s


def say(line: str) -> None:
    """Prints one line; a closed terminal is no reason to stop."""
    try:
        print(line, flush=True)
    except OSError:
        # Python flushes once more at exit: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A process to keep alive."""

    name: str
    argv: Sequence[str]


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    short_lives: int = 0


class StopSignals:
    """Counts the signals that ask to stop, and wakes whoever waits."""

    def __init__(self) -> None:
        self.count = 0
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        # Without a handler of its own a child's end would not wake us.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def ignore(self) -> None:
        """Makes further signals harmless: nothing is left that they could stop.

        While the interpreter ends it takes our handlers away, and whoever goes on
        pressing Ctrl-C would turn an orderly end into a death by SIGINT.
        """
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self.count > 0

    def wait(self, seconds: float | None) -> None:
        """Sleeps until a signal arrives, a child's end included, or time is over."""
        select.select([self._wake_read], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)


@dataclass(slots=True)
class Supervisor:
    """Starts, restarts and stops roles. `environment` is what children receive."""

    signals: StopSignals
    environment: Mapping[str, str]
    folder: Path
    tell: Callable[[str], None] = say
    grace_seconds: float = STOP_GRACE_SECONDS
    _children: list[_Child] = field(default_factory=list)
    _lifeline: tuple[int, int] = field(default_factory=os.pipe)

    def start(self, role: Role) -> None:
        """Starts the role, from now on kept alive by `run()`."""
        child = _Child(role)
        self._children.append(child)
        self._start(child)

    def run(self) -> None:
        """Keeps the roles alive until a signal asks to stop."""
        while not self.signals.asked():
            self.signals.wait(self._seconds_to_next_start())
            self.tend()

    def tend(self) -> None:
        """Notices deaths and starts again what is due."""
        for child in self._children:
            ended = self._take_ended(child)
            if ended is not None and not self.signals.asked():
                self._plan_restart(child, describe_end(ended.returncode))
            due = child.start_again_at
            if due is not None and due <= time.monotonic() and not self.signals.asked():
                self._start(child)

    def run_once(self, argv: Sequence[str]) -> int | None:
        """Runs a command to its end; its exit code, or None when asked to stop."""
        process = self._spawn(argv, watched=False)
        while process.poll() is None and not self.signals.asked():
            self.signals.wait(1.0)
        if process.returncode is not None:
            return process.returncode
        child = _Child(Role(name="command", argv=argv), process)
        self._end([child], time.monotonic() + self.grace_seconds)
        return None

    def stop(self) -> None:
        """Ends every child: a request, a time of grace, then force."""
        deadline = time.monotonic() + self.grace_seconds
        self._end(self._children[::-1], deadline)
        self.signals.ignore()

    def _start(self, child: _Child) -> None:
        child.started_at = time.monotonic()
        child.start_again_at = None
        try:
            child.process = self._spawn(child.role.argv, watched=True)
        except OSError as failure:  # no memory or no process to be had just now
            self._plan_restart(child, f"{failure}")

    def _spawn(self, argv: Sequence[str], *, watched: bool) -> subprocess.Popen[bytes]:
        pipe = self._lifeline[0]
        return subprocess.Popen(  # noqa: S603 - our own roles, no shell
            argv,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={**self.environment, **({PIPE_VARIABLE: str(pipe)} if watched else {})},
            pass_fds=(pipe,) if watched else (),
            start_new_session=True,
        )

    def _take_ended(self, child: _Child) -> subprocess.Popen[bytes] | None:
        """The child's process if it has died; what it left behind dies now."""
        process = child.process
        if process is None or process.poll() is None:
            return None
        _signal_group(process, signal.SIGKILL)
        child.process = None
        return process

    def _plan_restart(self, child: _Child, cause: str) -> None:
        now = time.monotonic()
        lived = now - child.started_at
        pause = 0.0
        if lived < LONG_LIFE_SECONDS:
            pause = BACK_OFF_SECONDS[min(child.short_lives, len(BACK_OFF_SECONDS) - 1)]
            child.short_lives += 1
        else:
            child.short_lives = 0
        child.start_again_at = now + pause
        when = f"in {pause:.0f} s" if pause else "now"
        self.tell(
            f"{child.role.name} ended after {lived:.0f} s ({cause}); "
            f"it is started again {when}."
        )

    def _seconds_to_next_start(self) -> float | None:
        due = [c.start_again_at for c in self._children if c.start_again_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _end(self, children: Sequence[_Child], deadline: float) -> None:
        for child in children:
            if child.process is not None:
                child.process.terminate()
        asked = self.signals.count
        while self._alive(children) and time.monotonic() < deadline:
            if self.signals.count > asked:
                break  # a second Ctrl-C
            self.signals.wait(max(0.0, deadline - time.monotonic()))
        for process in self._alive(children):
            _signal_group(process, signal.SIGKILL)
        deadline = time.monotonic() + KILL_PATIENCE_SECONDS
        while self._alive(children) and time.monotonic() < deadline:
            self.signals.wait(max(0.0, deadline - time.monotonic()))

    def _alive(self, children: Sequence[_Child]) -> list[subprocess.Popen[bytes]]:
        for child in children:
            self._take_ended(child)
        return [child.process for child in children if child.process is not None]


def describe_end(returncode: int) -> str:
    """The exit code or the name of the signal that ended a process."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The child leads its own group, whose number stays taken while a member lives.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
