"""The processes of a unit, from its control group: those that left their parent too.

A crashed vLLM leaves engine and worker behind with no parent (seen): only the group
still knows whose they are. Where it cannot be read (a container, another user's
manager) the session and the children of the main process are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from venom_site.clients import process_trees
from venom_site.clients.process_trees import Row

# The hierarchy of cgroup v2; of v1; of both side by side.
MOUNTS = tuple(Path("/sys/fs/cgroup") / name for name in ("", "systemd", "unified"))
MOST_GROUPS = 200


def rows(control_group: str, main_pid: int | None) -> list[Row]:
    """The living processes of the unit now; empty when it has none. Never raises."""
    for mount in MOUNTS if control_group else ():
        folder = mount / control_group.lstrip("/")
        if (folder / "cgroup.procs").is_file():
            found = map(process_trees.row_of, sorted(set(_in_group(folder))))
            return [row for row in found if row and not row.is_gone]
    main = process_trees.row_of(main_pid) if main_pid else None
    return process_trees.members(main.known) if main else []


def _in_group(folder: Path) -> Iterator[int]:
    """Those of the group and of the groups below it (`Delegate=`)."""
    places = [folder / "cgroup.procs"]
    with suppress(OSError):
        places += list(folder.glob("*/**/cgroup.procs"))[:MOST_GROUPS]
    for place in places:
        with suppress(OSError, ValueError):
            yield from map(int, place.read_text(encoding="ascii").split())
