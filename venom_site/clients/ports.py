"""Who listens on a port of this machine, and whether it is ours.

The kernel's own table (`/proc/net/tcp`) says which sockets listen and whose they are;
which process holds one is written in its open files, which may be hidden from us. Only
addresses that stand in a server's way count: loopback and «any».

A process that dies gives up its open files before its sockets close, so for a moment
(a second under load) its port is held by nobody who can be seen. Another user's server
looks the same for ever: whoever cannot be seen counts once it has held on for a while.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import psutil

from venom_site.clients.processes import PROC
from venom_site.clients.server_processes import command_of

LISTEN = "0A"  # tcp_states.h
HELD_ON_SECONDS = 2.0
LOOK_SECONDS = 0.05

_unseen_since: dict[tuple[int, str], float] = {}  # by port and inode
_unseen_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """`pid` is None where the process cannot be seen from here."""

    pid: int | None
    user: str
    command: str  # its first words, secrets masked


@dataclass(frozen=True, slots=True)
class PortSeen:
    """`is_ours`: one of our processes listens there; `foreign`: whoever else does;
    `fleeting`: who cannot be seen and may be a process that is just dying."""

    is_ours: bool = False
    foreign: tuple[Listener, ...] = ()
    fleeting: tuple[Listener, ...] = ()


class _Socket(NamedTuple):
    inode: str
    uid: int


def look(port: int, *, ours: Iterable[int] = (), may_hide: bool = False) -> PortSeen:
    """Who listens there; `ours` are the processes of the server whose port it is.
    `may_hide`: they run as another user, so who cannot be seen may be one of them."""
    own = frozenset(ours)
    if not PROC.joinpath("net/tcp").exists():
        return _by_psutil(port, own, may_hide=may_hide)
    open_sockets = _listening(port)
    pids = _pids_of({found.inode for found in open_sockets}, first=own)
    unseen = {each.inode: each.uid for each in open_sockets if each.inode not in pids}
    young = _not_held_on(port, unseen.keys(), may_hide=may_hide)
    foreign: set[tuple[int | None, int]]
    foreign = {found for found in pids.values() if found[0] not in own}
    foreign |= {(None, uid) for inode, uid in unseen.items() if inode not in young}
    return PortSeen(
        is_ours=any(pid in own for pid, _ in pids.values()),
        foreign=_listeners(foreign),
        fleeting=_listeners({(None, unseen[inode]) for inode in young}),
    )


def look_settled(port: int, *, ours: Iterable[int] = ()) -> PortSeen:
    """The same once it is certain, for who starts or ends a server there: waits until
    a process that cannot be seen has let go or held on."""
    own = tuple(ours)
    ends = time.monotonic() + 2 * HELD_ON_SECONDS
    while (seen := look(port, ours=own)).fleeting and time.monotonic() < ends:
        time.sleep(LOOK_SECONDS)
    return seen


def _not_held_on(port: int, inodes: Set[str], *, may_hide: bool) -> Set[str]:
    """Which of the unseen sockets do not count yet. Time runs from the first look at
    which nobody of ours could be behind them."""
    now = time.monotonic()
    with _unseen_lock:
        for known in [each for each in _unseen_since if each[0] == port]:
            if may_hide or known[1] not in inodes:
                del _unseen_since[known]
        if may_hide:
            return inodes
        since = {each: _unseen_since.setdefault((port, each), now) for each in inodes}
    return {each for each, began in since.items() if now - began < HELD_ON_SECONDS}


def _listening(port: int) -> list[_Socket]:
    mark, found = f":{port:04X} ", list[_Socket]()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = (PROC / "net" / name).read_text().splitlines()
            found += filter(None, (_read(line, port) for line in lines if mark in line))
    return found


def _read(line: str, port: int) -> _Socket | None:
    """One row of proc(5): local address, state, user and inode."""
    words = line.split()
    if len(words) < 10 or words[3] != LISTEN:
        return None
    address, _, number = words[1].rpartition(":")
    if int(number, 16) != port or not _is_in_the_way(_address(address)):
        return None
    return _Socket(words[9], int(words[7]))


def _address(text: str) -> IPv4Address | IPv6Address:
    """Hex words in the byte order of this machine."""
    raw = bytes.fromhex(text)
    words = struct.unpack(f"={len(raw) // 4}I", raw)
    return ip_address(struct.pack(f">{len(words)}I", *words))


def _is_in_the_way(address: IPv4Address | IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _pids_of(inodes: set[str], *, first: frozenset[int]) -> dict[str, tuple[int, int]]:
    """`inode: (pid, uid)`. All open files of the machine are looked through only when
    our own processes do not hold it."""
    found: dict[str, tuple[int, int]] = {}
    if not inodes:
        return found
    for pid in _ordered(first):
        for inode in inodes & _inodes_of(pid):
            with suppress(OSError):
                found.setdefault(inode, (pid, (PROC / str(pid)).stat().st_uid))
        if found.keys() == inodes:
            break
    return found


def _ordered(first: frozenset[int]) -> Iterator[int]:
    yield from first
    yield from (pid for pid in psutil.pids() if pid not in first)


def _inodes_of(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        folder = f"/proc/{pid}/fd"
        for name in os.listdir(folder):  # noqa: PTH208  (thousands of them)
            with suppress(OSError):
                target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _listeners(found: set[tuple[int | None, int]]) -> tuple[Listener, ...]:
    return tuple(_listener(pid, uid) for pid, uid in sorted(found, key=str))


def _listener(pid: int | None, uid: int) -> Listener:
    command = command_of(pid) if pid is not None else ""
    return Listener(pid=pid, user=_user(uid), command=command)


def _user(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _by_psutil(port: int, own: frozenset[int], *, may_hide: bool) -> PortSeen:
    """Where there is no such table (macOS), and foreign processes may be hidden."""
    is_ours = any(_holds(pid, port) for pid in own)
    pids = [pid for pid in psutil.pids() if pid not in own and _holds(pid, port)]
    foreign = tuple(_listener(pid, _uid(pid)) for pid in pids)
    hidden: tuple[Listener, ...] = ()
    if not (is_ours or foreign) and _answers(port):
        hidden = (Listener(pid=None, user="", command=""),)
    if _not_held_on(port, {""} if hidden else set(), may_hide=may_hide):
        return PortSeen(is_ours, foreign, hidden)
    return PortSeen(is_ours, foreign + hidden)


def _uid(pid: int) -> int:
    with suppress(psutil.Error):
        return int(psutil.Process(pid).uids().real)
    return -1


def _holds(pid: int, port: int) -> bool:
    with suppress(psutil.Error, OSError):
        for link in psutil.Process(pid).net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr.port == port:
                return True
    return False


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
