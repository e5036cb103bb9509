"""The blobs folder of a practice Ollama: whole ones, half ones, and how they grow.

Everything that pulls a digest drives the same blob, so two clients share one download
and it stands still when the last of them leaves. Nothing is on a disk.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tests.fakes.ollama_manifests import Layer

# Without a throttle a big layer comes in four steps, a small one without a line.
STEPS = 4
SMALL_BYTES = 2**20


@dataclass(kw_only=True)
class Blob:
    """A half or whole file; times are of the monotonic clock."""

    size_bytes: int
    completed: int = 0
    readers: int = 0
    touched_at: float = field(default_factory=time.monotonic)

    @property
    def is_whole(self) -> bool:
        return self.completed >= self.size_bytes

    def grow(self, count: int) -> int:
        """Add bytes; returns how many there was room for."""
        room = min(count, self.size_bytes - self.completed)
        self.completed += room
        return room


class BlobFolder:
    """The blobs by digest; only the server's loop writes here."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self.fetched_bytes: dict[str, int] = {}  # ever, by digest: repeats show here

    def has(self, layer: Layer) -> bool:
        blob = self.blobs.get(layer.digest)
        return blob is not None and blob.is_whole

    def partials(self) -> dict[str, int]:
        """Return the bytes of every half blob by digest."""
        halves = {d: b.completed for d, b in self.blobs.items() if not b.is_whole}
        return {digest: completed for digest, completed in halves.items() if completed}

    def put(self, layers: Iterable[Layer]) -> None:
        """Lay whole blobs down, as a pull by the CLI would have."""
        for layer in layers:
            size = layer.size_bytes
            self.blobs[layer.digest] = Blob(size_bytes=size, completed=size)

    def drop(self, digests: Iterable[str]) -> None:
        for digest in digests:
            self.blobs.pop(digest, None)

    def prune(self, *, keep: set[str], older_than_seconds: float) -> None:
        """Drop what no manifest names and nobody touched for so long."""
        limit = time.monotonic() - older_than_seconds
        stale = {d for d, blob in self.blobs.items() if blob.touched_at <= limit}
        self.drop(stale - keep)

    async def fetch(self, layer: Layer, pace: "Pace") -> AsyncGenerator[int, None]:
        """Yield what is there at each tick until the layer is whole.

        Small layers are whole before the first tick and yield nothing; the last tick
        of a big one is below its total, as in the real server.
        """
        blob = self.blobs.setdefault(layer.digest, Blob(size_bytes=layer.size_bytes))
        if not blob.readers:
            blob.touched_at = time.monotonic()
        blob.readers += 1
        try:
            if not pace.is_small(layer):
                await asyncio.sleep(pace.tick_seconds)
                blob.touched_at = time.monotonic()  # until now it was connecting
                yield blob.completed
            while not blob.is_whole:
                await asyncio.sleep(pace.wait_for(blob))
                self._grow(layer.digest, blob, pace)
                if not blob.is_whole:
                    yield blob.completed
        finally:
            blob.readers -= 1

    def _grow(self, digest: str, blob: Blob, pace: "Pace") -> None:
        now = time.monotonic()
        moved = blob.grow(pace.bytes_in(now - blob.touched_at, blob.size_bytes))
        if moved:
            blob.touched_at = now
        self.fetched_bytes[digest] = self.fetched_bytes.get(digest, 0) + moved


class Speeds(Protocol):
    """What a state says about pulls; read at every tick, so it may change in one."""

    tick_seconds: float
    bytes_per_second: float  # 0: no throttle


class Pace:
    """How fast bytes come."""

    def __init__(self, speeds: Speeds) -> None:
        self._speeds = speeds

    @property
    def tick_seconds(self) -> float:
        return self._speeds.tick_seconds

    def is_small(self, layer: Layer) -> bool:
        speed = self._speeds.bytes_per_second
        return layer.size_bytes <= (speed * self.tick_seconds if speed else SMALL_BYTES)

    def wait_for(self, blob: Blob) -> float:
        speed = self._speeds.bytes_per_second
        if not speed:
            return self.tick_seconds
        return min(self.tick_seconds, (blob.size_bytes - blob.completed) / speed)

    def bytes_in(self, seconds: float, size_bytes: int) -> int:
        if self._speeds.bytes_per_second:
            return int(self._speeds.bytes_per_second * seconds)
        return -(-size_bytes // STEPS) if size_bytes > SMALL_BYTES else size_bytes
