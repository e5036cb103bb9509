"""The steps of one operation: where it is now, and how long each took.

Made by performing code from its `Work`. The names are those of `choices.STEPS`; a
step that is entered again after a restart begins anew.
"""

from __future__ import annotations

import time
from typing import Any

from models_app.services.work import Work


class Steps:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._taken: dict[str, float] = dict(work.operation.checkpoint.get("steps", {}))
        self._now = ""
        self._began = 0.0

    def enter(self, name: str, *, progress: float | None = None) -> None:
        """End the present step, if any, and begin this one; written at once."""
        line = self._end()
        self._begin(name, progress=progress)
        self._work.checkpoint(line=line, steps=dict(self._taken))

    def pass_to(self, name: str) -> None:
        """As `enter`, where nothing may be written now: in the midst of a stream."""
        if name == self._now:
            return
        line = self._end()
        self._begin(name)
        self._work.note(line=line, steps=dict(self._taken))

    def leave(self) -> None:
        """The last step went well too."""
        line = self._end()
        self._work.checkpoint(line=line, steps=dict(self._taken))

    def _begin(self, name: str, *, progress: float | None = None) -> None:
        self._now, self._began = name, time.monotonic()
        self._taken.pop(name, None)
        shown: dict[str, Any] = {"phase": name, "message": ""}
        if progress is not None:
            shown["progress"] = progress
        self._work.report(**shown)

    def _end(self) -> str:
        if not self._now:
            return ""
        seconds = time.monotonic() - self._began
        self._taken[self._now] = round(seconds, 3)
        line = f"{self._now.capitalize()} took {seconds:.2f} s."
        self._now = ""
        return line
