"""All processes that belong to a server which we started, and only those.

It leads a session of its own (`setsid`), and no process can enter a session from
outside: whoever has its number was started by it. Children of members that opened a
session of their own count too, as long as their parent shows it. A leader that died
leaves its session behind (vLLM 0.32: EngineCore and Worker live on with all the memory,
reparented to pid 1): the kernel gives the number to nobody while one of them lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import psutil

from venom_site.clients.processes import PROC, Known, _started
from venom_site.launch import LEADER_VARIABLE

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GONE = frozenset({"Z", "X", "x"})  # a zombie holds nothing but its number


class Row(NamedTuple):
    """One process as the kernel's table shows it now."""

    pid: int
    parent: int
    group: int
    session: int
    started: str
    is_gone: bool

    @property
    def known(self) -> Known:
        return Known(self.pid, self.started)


def members(leader: Known) -> list[Row]:
    """The living processes of that server, the leader first if it lives; empty when
    all are gone or the number belongs to somebody else by now."""
    rows = {row.pid: row for row in _table()}
    head = rows.get(leader.pid)
    if head is not None and head.started != leader.started:
        return []  # the number was given anew, so nothing of the session was left
    inside = {row.pid for row in rows.values() if row.session == leader.pid}
    if head is None:  # a dead one that nobody has reaped still holds its number
        inside = {pid for pid in inside if _was_left_by(leader, rows[pid])}
    found = _with_children(inside, rows)
    living = [rows[pid] for pid in found if not rows[pid].is_gone]
    return sorted(living, key=lambda row: (row.pid != leader.pid, row.pid))


def family(pid: int) -> list[Row]:
    """A process, whoever started it, with its children and with all of the session
    that it leads; the process first, empty when it is gone. Only to be measured."""
    rows = {row.pid: row for row in _table()}
    head = rows.get(pid)
    if head is None or head.is_gone:
        return []
    inside = {row.pid for row in rows.values() if row.session == pid}
    found = _with_children(inside | {pid}, rows) - {pid}
    living = [rows[other] for other in sorted(found) if not rows[other].is_gone]
    return [head, *living]


def still_there(process: Known) -> bool:
    """Whether exactly this process lives; a zombie does not."""
    row = row_of(process.pid)
    return row is not None and row.started == process.started and not row.is_gone


def row_of(pid: int) -> Row | None:
    if PROC.exists():
        return _from_proc(pid)
    return next((row for row in _table() if row.pid == pid), None)


def memory_bytes(rows: list[Row]) -> int | None:
    """What they hold together, pages that they share counted once at most; None where
    none can be read. Not the exact share (PSS): to count that, the kernel walks every
    page of a model that lies in memory."""
    held = [found for row in rows if (found := _held(row.pid)) is not None]
    if not held:
        return None
    return sum(own for own, _ in held) + max(shared for _, shared in held)


def _held(pid: int) -> tuple[int, int] | None:
    """Bytes of its own and shared ones."""
    try:
        if not PROC.exists():
            return int(psutil.Process(pid).memory_info().rss), 0
        words = (PROC / str(pid) / "statm").read_text().split()
        resident, shared = int(words[1]), int(words[2])
        return (resident - shared) * PAGE_BYTES, shared * PAGE_BYTES
    except (OSError, IndexError, ValueError, psutil.Error):
        return None


def _with_children(inside: set[int], rows: dict[int, Row]) -> set[int]:
    children: dict[int, list[int]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row.pid)
    found, waiting = set(inside), list(inside)
    while waiting:
        fresh = set(children.get(waiting.pop(), ())) - found
        found |= fresh
        waiting += fresh
    return found - {os.getpid()}


def _was_left_by(leader: Known, row: Row) -> bool:
    """Whether a member of a session without its leader is ours.

    The number could have been used anew by a stranger who died as well. Ours began
    later than the leader and carry its mark, where they did not write their title over
    their environment, as vLLM's do.
    """
    if _is_earlier(row.started, leader.started):
        return False
    with suppress(OSError):
        environment = (PROC / str(row.pid) / "environ").read_bytes()
        mark = f"{LEADER_VARIABLE}={leader.pid}|{leader.started}".encode()
        pairs = environment.split(b"\0")
        return mark in pairs or not any(pair.startswith(b"PATH=") for pair in pairs)
    return row.parent == 1 and not PROC.exists()


def _is_earlier(started: str, than: str) -> bool:
    return started.isdecimal() and than.isdecimal() and int(started) < int(than)


def _table() -> Iterator[Row]:
    if PROC.exists():
        pids = [int(name) for name in os.listdir(PROC) if name.isdecimal()]  # noqa: PTH208  (a Path per process costs more than the look)
        yield from filter(None, map(_from_proc, pids))
    else:
        yield from filter(None, map(_from_system, psutil.pids()))


def _from_proc(pid: int) -> Row | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return None
    state = fields[0].decode()
    parent, group, session = map(int, fields[1:4])
    return Row(pid, parent, group, session, fields[19].decode(), state in GONE)


def _from_system(pid: int) -> Row | None:
    """Where there is no /proc (macOS)."""
    try:
        process = psutil.Process(pid)
        is_gone = process.status() == psutil.STATUS_ZOMBIE
        group, session = os.getpgid(pid), os.getsid(pid)
        return Row(pid, process.ppid(), group, session, _started(process), is_gone)
    except (psutil.Error, OSError):
        return None
