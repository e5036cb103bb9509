"""Channels layer for one machine: group messages travel as unix datagrams.

The process that holds web sockets binds `<directory>/<pid>-<random>.sock` at its
first `group_add`; every process and thread may `publish` to all sockets found there.
Messages are hints: they may be lost, so whoever needs the truth reads the row. Must
never block the event loop and never raise because a listener went away.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import os
import secrets
import socket
import stat
import tempfile
import time
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Any

from channels.layers import InMemoryChannelLayer

logger = logging.getLogger(__name__)

LONGEST_FOLDER_BYTES = 90  # sun_path holds 104 (macOS) or 108 bytes, file name included
LARGEST_DATAGRAM_BYTES = 1 << 18
DATAGRAMS_PER_TURN = 200
# A Linux socket queues 10 datagrams (net.unix.max_dgram_qlen) before it is full.
PAUSES_WHEN_FULL_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08)
FULL = (errno.EAGAIN, errno.ENOBUFS)  # Linux, macOS
GONE = (errno.ECONNREFUSED, errno.ENOENT)
UNREAD_SECONDS = 600  # a socket that takes nothing for so long leaves its groups

Message = dict[str, Any]


class UnsafeFolder(OSError):
    """The folder of sockets belongs to somebody else or is not a folder."""

    code = "unsafe_folder"


def runtime_folder(data_dir: Path) -> Path:
    """Where the sockets of this data folder live: a path short enough for a socket."""
    data_dir = data_dir.absolute()
    near = data_dir / "run" / "channels"
    if len(os.fsencode(near)) < LONGEST_FOLDER_BYTES:
        return near
    name = f"venom-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / name


def make_private(folder: Path) -> None:
    """Makes the folder with mode 0700; refuses one that is not ours alone."""
    if len(os.fsencode(folder)) >= LONGEST_FOLDER_BYTES:
        raise UnsafeFolder(f"{folder} is too long a path for a unix socket.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        raise UnsafeFolder(
            f"{folder} belongs to another user or is a link. Remove it, or choose "
            "another data folder with VENOM_DATA_DIR."
        )
    if seen.st_mode & 0o077:
        folder.chmod(0o700)


class LocalSocketChannelLayer(InMemoryChannelLayer):
    """Groups across processes; `send` to one channel stays within its process."""

    def __init__(self, directory: str | Path, **options: Any) -> None:
        # Members leave by `group_discard` only: a page may stay open for days.
        defaults = {"expiry": UNREAD_SECONDS, "group_expiry": float("inf")}
        super().__init__(**(defaults | options))
        self.directory = Path(directory)
        make_private(self.directory)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._close_sender = weakref.finalize(self, self._sender.close)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ear: _Ear | None = None
        self._stuck: set[Path] = set()  # listeners that took the last event never

    async def group_add(self, group: str, channel: str) -> None:
        """Adds the channel; the first one makes this process listen."""
        self._listen()
        await super().group_add(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Sends to the group in every process, waiting briefly for full listeners."""
        datagram = self._pack(group, message)
        full = self._offer(datagram, self._listeners())
        for pause in PAUSES_WHEN_FULL_SECONDS:
            if not full:
                return
            await asyncio.sleep(pause)
            full = self._offer(datagram, full)
        _note_dropped(group, full)

    def publish(self, group: str, message: Message) -> None:
        """The same for plain code, from any thread of any process.

        On a running event loop it does not wait: what a full listener cannot take is
        dropped there. One that hangs is waited for once, not with every event.
        """
        datagram = self._pack(group, message)
        full = self._offer(datagram, self._listeners())
        stuck = self._stuck.intersection(full)
        late = [path for path in full if path not in stuck]
        for pause in () if _on_a_loop() else PAUSES_WHEN_FULL_SECONDS:
            if not late:
                break
            time.sleep(pause)
            late = self._offer(datagram, late)
        self._stuck = stuck.union(late)
        _note_dropped(group, self._stuck)

    async def close(self) -> None:
        """Stops listening and sending for good."""
        self._stop_listening()
        self._close_sender()

    def _pack(self, group: str, message: Message) -> bytes:
        self.require_valid_group_name(group)
        return json.dumps([group, message]).encode()

    def _listeners(self) -> list[Path]:
        try:  # for each event: `Path.glob` takes twice as long (measured)
            names = os.listdir(self.directory)  # noqa: PTH208
            return [self.directory / name for name in names if name.endswith(".sock")]
        except OSError:
            return []  # the folder was removed: nobody listens

    def _offer(self, datagram: bytes, listeners: list[Path]) -> list[Path]:
        """Sends once to each; those that were full."""
        full = []
        for path in listeners:
            try:
                self._sender.sendto(datagram, str(path))
            except OSError as failure:
                if failure.errno in FULL:
                    full.append(path)
                elif failure.errno in GONE:
                    path.unlink(missing_ok=True)
                else:
                    logger.warning("event dropped bytes=%d: %s", len(datagram), failure)
        return full

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._ear is not None and self._ear.path.exists():
            return
        if self._loop is not loop:
            if self._loop is not None and self._loop.is_running():
                return  # a second loop of this process: the first keeps the socket
            self.groups.clear()
            self.channels.clear()  # their queues belong to the loop that ended
        self._stop_listening()
        make_private(self.directory)
        ear = _Ear(self.directory)
        loop.add_reader(ear.socket.fileno(), self._hear, ear.socket)
        self._loop, self._ear = loop, ear

    def _stop_listening(self) -> None:
        if self._ear is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._ear.socket.fileno())
        self._ear.close()
        self._loop = self._ear = None

    def _hear(self, ear: socket.socket) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                datagram = ear.recv(LARGEST_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            try:
                group, message = json.loads(datagram)
                self._deliver(group, message)
            except (ValueError, TypeError) as flaw:
                logger.warning("unreadable event dropped: %s", flaw)

    def _deliver(self, group: str, message: Message) -> None:
        best_before = time.time() + self.expiry
        for channel in list(self.groups.get(group, ())):
            queue = self.channels.setdefault(
                channel, asyncio.Queue(self.get_capacity(channel))
            )
            try:
                queue.put_nowait((best_before, dict(message)))
            except asyncio.QueueFull:
                continue  # a slow browser loses hints, it never blocks the others


class _Ear:
    """The bound socket of this process, closed and unlinked at the latest at exit."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(self.path))
        self.path.chmod(0o600)
        self.close = weakref.finalize(
            self, _close_ear, self.socket, self.path, os.getpid()
        )


def _close_ear(ear: socket.socket, path: Path, owner: int) -> None:
    ear.close()
    if os.getpid() == owner:  # not in a forked child
        path.unlink(missing_ok=True)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _note_dropped(group: str, full: Collection[Path]) -> None:
    if full:
        logger.info("event dropped, listeners are busy group=%s", group)
