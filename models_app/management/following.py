"""Following an operation from a terminal until it ends, and saying how it ended.

Used by the commands that start or show long work. A terminal gets one line that is
drawn anew when it changes; a file or a pipe gets a line for every tenth. Leaving with
Ctrl-C leaves the operation running.
"""

from __future__ import annotations

import json
import os
import time
from argparse import ArgumentParser, BooleanOptionalAction
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.db import connection
from django.utils import timezone

from models_app.choices import OperationStatus, PendingPhase
from models_app.models import Operation
from models_app.schemas.operations import operation_payload
from models_app.services import operations
from venom_site.lib.commands import ProductCommand
from venom_site.lib.units import size_text, time_left_text
from venom_site.templatetags.atoms import bytes_words, phase_words

LOOK_SECONDS = 0.5
WIDEST_BAR, NARROWEST_BAR = 30, 6
USUAL_COLUMNS = 80
ROOM_FOR_WORDS = 68  # the bar keeps its width when their length changes
LONELY_AFTER = timedelta(seconds=10)
LEFT_EXIT_CODE = 130  # what shells say of a program that Ctrl-C ended


def add_waiting(parser: ArgumentParser) -> None:
    """`--wait` and `--no-wait`; without either, `wants_to_wait` decides."""
    parser.add_argument(
        "--wait",
        action=BooleanOptionalAction,
        default=None,
        help="until it ends; on a terminal that is the default",
    )


class FollowingCommand(ProductCommand):
    """A command whose verbs answer with facts, or with an operation to be followed."""

    def say(self, answer: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
        """The API's shape for scripts, sentences for people."""
        text = json.dumps(answer, indent=2) if as_json else "\n".join(lines)
        self.stdout.write(text)

    def see_through(self, operation: Operation, options: dict[str, Any]) -> None:
        """Follow it where that is wanted, with what comes after it; say the end."""
        waits = self._wants_to_wait(options)
        after: Operation | None = None
        if waits:
            operation = follow(operation, self.stderr)
            after = self._followed_next(operation)
        answer = {
            "operation_id": str(operation.pk),
            "operation": operation_payload(operation),
            "then": operation_payload(after) if after else None,
        }
        lines = [_end_line(each) for each in (operation, after) if each]
        self.say(answer, lines, as_json=options["json"])
        if waits:
            refuse_a_bad_end(after or operation)

    def _wants_to_wait(self, options: dict[str, Any]) -> bool:
        """Said, or else: a person at a terminal waits, a script goes on."""
        said: bool | None = options["wait"]
        if said is None:
            return self.stdout.isatty() and not options["json"]
        return said

    def _followed_next(self, operation: Operation) -> Operation | None:
        """What the end of this one started, such as an activation, to its end too."""
        if operation.status != OperationStatus.COMPLETED:
            return None
        after = operation.children.order_by("-created_at").first()
        return follow(after, self.stderr) if after else None


def _end_line(operation: Operation) -> str:
    line = f"{operation}: {operation.status}."
    if operation.is_finished:
        return line
    return f"{line} Follow it: manage.py operations show {operation.pk} --wait"


def follow(operation: Operation, out: OutputWrapper) -> Operation:
    """Read the row until it ends and say on `out` how far it is."""
    teller = Line(out) if out.isatty() else Tenths(out)
    try:
        while not operation.is_finished:
            teller.tell(operation)
            connection.close()
            time.sleep(LOOK_SECONDS)
            operation = operations.get_operation(operation.pk)
    except KeyboardInterrupt:
        raise CommandError(
            f"Left. {operation} goes on: {operation.pk}", returncode=LEFT_EXIT_CODE
        ) from None
    finally:
        teller.close()
    return operation


def refuse_a_bad_end(operation: Operation) -> None:
    """Anything but a completed operation is an exit code of its own."""
    if operation.status == OperationStatus.FAILED:
        code = operation.error_code or "no code"
        raise CommandError(f"{operation} failed: {operation.error} ({code})")
    if operation.status == OperationStatus.CANCELLED:
        raise CommandError(f"{operation} was cancelled.")


class Line:
    """One line of a terminal, as wide as it is; written only when it changes."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._shown = ""

    def tell(self, operation: Operation) -> None:
        columns = _columns(self._out)
        text = f"{_bar(operation, columns, self._out)} {progress_words(operation)}"
        text = text[: columns - 1]  # a full last column would begin a new line
        if text != self._shown:
            self._write(f"\r{text}\033[K")
            self._shown = text

    def close(self) -> None:
        if self._shown:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        self._out.write(text, style_func=str, ending="")
        self._out.flush()


class Tenths:
    """A line when it starts, when its phase changes and for every ten percent."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._told: tuple[str, int] | None = None

    def tell(self, operation: Operation) -> None:
        now = (operation.phase, int(operation.progress // 10))
        if now != self._told:
            self._out.write(f"{operation}: {progress_words(operation)}", style_func=str)
            self._out.flush()
            self._told = now

    def close(self) -> None:
        """Its lines stay."""


def progress_words(operation: Operation) -> str:
    """42 % · Downloading · 3.1 of 4.9 GB · 11.2 MB/s · about 3 min left."""
    state = _state_words(operation)
    parts = [f"{operation.progress:3.0f} %", state]
    if size_text(operation.bytes_done) not in state:  # it may say so itself
        parts.append(bytes_words(operation))
    if operation.is_stalled:
        parts.append("no progress for a while")
    elif operation.is_running and operation.speed_bps:
        parts.append(f"{size_text(operation.speed_bps)}/s")
        parts.append(time_left_text(operation.eta_seconds))
    return _printable(" · ".join(part for part in parts if part))


def _state_words(operation: Operation) -> str:
    lonely = timezone.now() - operation.created_at > LONELY_AFTER
    if operation.phase == PendingPhase.QUEUED and not operation.is_running and lonely:
        return "Queued; no worker has taken it yet, `manage.py up` runs one"
    return operation.message or phase_words(operation.phase)


def _printable(text: str) -> str:
    """A neighbour's words must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _bar(operation: Operation, columns: int, out: OutputWrapper) -> str:
    width = max(NARROWEST_BAR, min(WIDEST_BAR, columns - ROOM_FOR_WORDS))
    full = round(width * operation.progress / 100)
    done, left = _blocks(out)
    return done * full + left * (width - full)


def _blocks(out: OutputWrapper) -> tuple[str, str]:
    """Blocks, or plain signs where the terminal's encoding has none."""
    try:
        "█░".encode(getattr(out, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "#", "-"
    return "█", "░"


def _columns(out: OutputWrapper) -> int:
    """How wide the terminal is now: it may be resized while we draw."""
    try:
        columns = os.get_terminal_size(out.fileno()).columns
    except (OSError, AttributeError):
        columns = 0
    return columns or USUAL_COLUMNS
