"""Chat templates of strangers, rendered where they can do no harm.

Each call starts one process, `chat_template_child.py`, with limits on time, memory and
output and none of our environment; it takes about 0.15 s. Called when a model is
described or prepared, never while a request is served.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

from venom_site.clients.chat_template_child import ANSWER_BYTES
from venom_site.lib.errors import WireError

CHILD = Path(__file__).with_name("chat_template_child.py")
# The child's own limit counts processor time; this one ends a child that waits.
WALL_SECONDS = 30
PASSED_ON = frozenset({"LD_LIBRARY_PATH"})  # where the interpreter itself may lie


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One conversation: its text, or the template's refusal, or what went wrong.

    `error` is what jinja2 said; `limit` is one of ours: `writes`, `memory`, `deep`,
    `endless`, or `unrendered` where the process left no word. `was_ended`: the process
    was ended by force, so that nothing is known of this one.
    """

    text: str = ""
    refused: str = ""
    error: str = ""
    limit: str = ""
    was_ended: bool = False

    @property
    def is_text(self) -> bool:
        return not (self.refused or self.error or self.limit)


def render(template: str, cases: Sequence[Mapping[str, Any]]) -> list[Rendered]:
    """Each case is what the template is given (`messages`, `tools`, …).

    As many answers as cases: those that a process ended by force did not reach say so.
    Raises `WireError` where no process can be started.
    """
    answers, ended = _asked({"template": template, "cases": list(cases)})
    known = answers[: len(cases)]
    missing = len(cases) - len(known)
    return known + [Rendered(limit=_end(ended), was_ended=True)] * missing


def _asked(wish: Mapping[str, Any]) -> tuple[list[Rendered], int | None]:
    """What it wrote, and how it ended: None when we had to end it."""
    with tempfile.TemporaryFile() as wished, tempfile.TemporaryFile() as answered:
        wished.write(json.dumps(wish).encode())
        wished.seek(0)
        try:
            child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", str(CHILD)],
                stdin=wished,
                stdout=answered,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise WireError(f"No process could be started: {error}") from error
        ended = _waited(child)
        return _read(answered), ended


def child_environment() -> dict[str, str]:
    """What the process is given of ours: nothing that it does not need to start."""
    return {name: os.environ[name] for name in PASSED_ON & os.environ.keys()}


def _waited(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(WALL_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return None


def _read(answered: BufferedRandom) -> list[Rendered]:
    """Whole lines only: the last one may have been cut by an end by force."""
    answered.seek(0)
    lines = answered.read(ANSWER_BYTES).split(b"\n")[:-1]
    return [Rendered(**json.loads(line)) for line in lines]


def _end(code: int | None) -> str:
    """Signals are what the kernel ends a child with that passes a limit."""
    if code is None or code < 0:
        return "endless"
    return "unrendered"
