"""From a byte of a download to the open page that shows it.

    python -m bench.progress [--pages 10] [--megabytes 15]

Starts `manage.py up` in a folder of its own beside a practice Ollama and its registry
in this process, installs one model and notes when each byte came, when a program on
`/ws/events/` heard of it and when a page on `/ws/ui/` could show it. A page's figure is
rounded to megabytes, so its delay is an upper bound. The target is 500 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from bisect import bisect_left
from contextlib import suppress
from itertools import pairwise
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.kills import use_database_of
from bench.push import sign_in, tell
from tests.fakes.ollama import TICK_SECONDS, build_ollama, make_state
from tests.fakes.ollama_registry import RegistryState, build_registry
from tests.fakes.ollama_state import OllamaState
from tests.fakes.server import PracticeServer
from tests.running import House

MODEL = "gemma3:270m"
TARGET_SECONDS = 0.5
LONGEST_SECONDS = 180
# «123 of 292 MB», as a row says it.
SHOWN = re.compile(r"([\d.]+(?: [kMGT]?B)?) of [\d.]+ ([kMGT]?B)")
ENDED = ("completed", "failed", "cancelled")
Message = tuple[float, str]


class ByteClock(threading.Thread):
    """When each byte came, looked at 500 times a second."""

    def __init__(self, state: OllamaState) -> None:
        super().__init__(daemon=True)
        self._fetched = state.folder.fetched_bytes
        self._done = threading.Event()
        self.times: list[float] = []
        self.bytes: list[int] = []

    def run(self) -> None:
        while not self._done.wait(0.002):
            count = sum(list(self._fetched.values()))
            if not self.bytes or count > self.bytes[-1]:
                self.times.append(time.perf_counter())
                self.bytes.append(count)

    def stop(self) -> None:
        self._done.set()
        self.join()

    def at(self, count: int) -> float | None:
        """The moment when so many bytes were there."""
        place = bisect_left(self.bytes, count)
        return self.times[place] if place < len(self.times) else None

    def words(self) -> dict[str, float]:
        """When a size, as it is written on a page, was first true."""
        from venom_site.lib.units import size_text

        found: dict[str, float] = {}
        for moment, count in zip(self.times, self.bytes, strict=True):
            found.setdefault(size_text(count), moment)
        return found


async def hear(socket: ClientConnection, heard: list[Message]) -> None:
    """Keep what comes until the socket is closed."""
    with suppress(ConnectionClosed):
        while True:
            message = await socket.recv()
            heard.append((time.perf_counter(), str(message)))


async def watch(house: House, cookie: str, pages: int) -> tuple[str, list[Any]]:
    """Install while sockets listen; the operation's id and what each heard."""
    address = house.url.replace("http", "ws")
    paths = ["/ws/events/"] + ["/ws/ui/?topics=ops"] * pages
    sockets = [
        await connect(address + path, additional_headers={"Cookie": cookie}, proxy=None)
        for path in paths
    ]
    heard: list[list[Message]] = [[] for _ in sockets]
    ears = [
        asyncio.ensure_future(hear(socket, kept))
        for socket, kept in zip(sockets, heard, strict=True)
    ]
    with house.client() as client:
        pk = await asyncio.to_thread(install, client)
    await asyncio.sleep(1)
    for socket in sockets:
        await socket.close()
    await asyncio.gather(*ears)
    return pk, heard


def install(client: httpx.Client) -> str:
    """Start it and stay until it ends."""
    body = {"provider": "ollama", "name": MODEL}
    answer = client.post("/api/v1/models/install", json=body)
    if answer.status_code != 202:
        raise SystemExit(f"not started: {answer.text}")
    pk: str = answer.json()["operation_id"]
    ends = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < ends:
        row = client.get(f"/api/v1/models/operations/{pk}").json()["operation"]
        if row["status"] == "completed":
            return pk
        if row["status"] in ENDED:
            raise SystemExit(f"it ended as {row['status']}: {row['error']}")
        time.sleep(1)
    raise SystemExit("it did not end")


def delays_of_events(pk: str, heard: list[Message], clock: ByteClock) -> list[float]:
    found = []
    for moment, text in heard:
        row = json.loads(text)["data"]
        done = row.get("bytes_done") if row.get("operation_id") == pk else None
        came = clock.at(done) if done and row["phase"] == "downloading" else None
        if came is not None:
            found.append(moment - came)
    return found


def delays_of_page(pk: str, heard: list[Message], clock: ByteClock) -> list[float]:
    words, seen = clock.words(), dict[str, float]()
    for moment, text in heard:
        shown = SHOWN.search(text) if f"operation-{pk}" in text else None
        if shown:
            number, unit = shown.groups()
            size = number if number.endswith("B") else f"{number} {unit}"
            seen.setdefault(size, moment)
    return [moment - words[size] for size, moment in seen.items() if size in words]


def gaps(heard: list[Message], pk: str) -> list[float]:
    """How long a page kept the same figure."""
    moments = [moment for moment, text in heard if f"operation-{pk}" in text]
    return [after - before for before, after in pairwise(moments)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--megabytes", type=float, default=15, help="a second")
    wishes = parser.parse_args()
    state = make_state(("phi3:mini",))
    state.bytes_per_second = wishes.megabytes * 1e6
    state.tick_seconds = TICK_SECONDS
    ollama = PracticeServer(build_ollama, state)
    registry = PracticeServer(build_registry, RegistryState(library=state.library))
    clock = ByteClock(state)
    ollama.start()
    registry.start()
    house = House()
    house.environment["OLLAMA_BASE_URL"] = ollama.url
    house.environment["OLLAMA_REGISTRY_URL"] = registry.url
    try:
        with house:
            use_database_of(house)
            cookie = sign_in()
            clock.start()
            pk, heard = asyncio.run(watch(house, cookie, wishes.pages))
            clock.stop()
    finally:
        ollama.stop()
        registry.stop()
    return report(pk, heard, clock)


def report(pk: str, heard: list[list[Message]], clock: ByteClock) -> int:
    events = delays_of_events(pk, heard[0], clock)
    pages = [delay for page in heard[1:] for delay in delays_of_page(pk, page, clock)]
    if len(events) < 2 or len(pages) < 2:
        raise SystemExit(f"too little was heard: {len(events)}, {len(pages)}")
    print(f"{len(events)} events, {len(pages)} figures on {len(heard) - 1} pages")
    tell("byte → program", events)
    p95 = tell("byte → page (upper bound)", pages)
    tell("a page's figure stays", [gap for page in heard[1:] for gap in gaps(page, pk)])
    return 0 if p95 < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
