"""From a change of a server of ours to the open page that shows it.

    python -m bench.state_seen [--rounds 20]

Starts `manage.py up` in a folder of its own; the practice vLLM is started by the
product. Each round kills it with SIGKILL, starts it, stops it and starts it again, and
a page on `/ws/ui/` is open all the while. Counted from the moment at which the process
has ended, or at which its `/health` is 200 first. The target is 1 s; a round that ever
shows a conflict is a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bench.kills import use_database_of
from bench.push import sign_in, tell
from bench.switch_kills import MODELS, await_models, environment, make_shelf
from tests.fakes.ollama import build_ollama, make_state
from tests.fakes.server import PracticeServer
from tests.running import House

TARGET_SECONDS = 1.0
LONGEST_SECONDS = 60.0
LOOK_SECONDS = 0.002
SERVERS = "/api/v1/system/llm-servers"
CARD = re.compile(r'<article[^>]* id="runtime-vllm" data-status="(\w+)"')
UP, DOWN = frozenset({"online"}), frozenset({"offline", "starting", "stopped"})


class OpenPage(threading.Thread):
    """What the card of vLLM said on an open page, and when."""

    def __init__(self, url: str, cookie: str) -> None:
        super().__init__(daemon=True)
        self.shown: list[tuple[float, str]] = []
        self._socket = connect(
            url.replace("http", "ws") + "/ws/ui/?topics=runtimes",
            additional_headers={"Cookie": cookie},
            proxy=None,
        )

    def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self._socket:
                now = time.perf_counter()
                found = CARD.findall(str(text))
                self.shown += [(now, status) for status in found]

    def close(self) -> None:
        self._socket.close()

    def since(self, moment: float, wanted: Container[str]) -> float | None:
        """How long after that moment the card said one of these words."""
        times = (at for at, status in self.shown if at > moment and status in wanted)
        found = next(times, None)
        return None if found is None else found - moment


class Rounds:
    """`delays` by what happened, `conflicts` the false ones."""

    def __init__(self, house: House, client: httpx.Client, page: OpenPage) -> None:
        self._house, self._client, self._page = house, client, page
        self.delays: dict[str, list[float]] = {"killed": [], "stopped": [], "up": []}

    def play(self) -> None:
        _forget_changes()
        pid = int(self._server()["pid"])
        began = time.perf_counter()
        psutil.Process(pid).kill()
        self._note("killed", began, _await_end(pid), DOWN)
        self._start()
        pid = int(self._server()["pid"])
        began = time.perf_counter()
        self._ask("stop")
        self._note("stopped", began, _await_end(pid), DOWN)
        self._settle()
        _forget_changes()
        self._start()

    def _start(self) -> None:
        began = time.perf_counter()
        self._ask("start", model=MODELS[0])
        self._note("up", began, self._await_health(), UP)
        self._settle()

    def _note(
        self, what: str, began: float, moment: float, wanted: Container[str]
    ) -> None:
        """A page may know before: a stop is told when it begins."""
        _wait(lambda: self._page.since(began, wanted) is not None, f"{what} was shown")
        found = self._page.since(began, wanted) or 0.0
        self.delays[what].append(max(0.0, began + found - moment))

    def _ask(self, verb: str, **body: str) -> None:
        """409 while the product itself is starting it again."""

        def is_taken() -> bool:
            return self._client.post(f"{SERVERS}/vllm/{verb}", json=body).is_success

        _wait(is_taken, verb, 0.05)

    def _await_health(self) -> float:
        url = str(self._server()["endpoint"]).removesuffix("/v1") + "/health"

        def is_healthy() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(url, trust_env=False).is_success
            return False

        _wait(is_healthy, "health", 0.01)
        return time.perf_counter()

    def _settle(self) -> None:
        """Until nothing is under way."""

        def is_done() -> bool:
            rows = self._client.get("/api/v1/models/operations?limit=5").json()
            return all(row["completed_at"] for row in rows["operations"])

        _wait(is_done, "rest", 0.1)

    def _server(self) -> dict[str, Any]:
        rows = self._client.get(SERVERS).json()["servers"]
        found: dict[str, Any] = next(row for row in rows if row["name"] == "vllm")
        return found

    @property
    def conflicts(self) -> int:
        return sum(status == "conflict" for _, status in self._page.shown)


def _forget_changes() -> None:
    """A server that changes this often is shown as unstable, whatever it is."""
    from django.db import connection

    from runtime_app.models import Runtime

    Runtime.objects.update(recent_changes=[])
    connection.close()


def _await_end(pid: int) -> float:
    def has_ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    _wait(has_ended, "end")
    return time.perf_counter()


def _wait(is_true: Callable[[], bool], what: str, every: float = LOOK_SECONDS) -> None:
    ends = time.monotonic() + LONGEST_SECONDS
    while not is_true():
        if time.monotonic() > ends:
            raise SystemExit(f"{what}: not within {LONGEST_SECONDS:.0f} s")
        time.sleep(every)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    wishes = parser.parse_args()
    ollama = PracticeServer(build_ollama, make_state(("gemma3:4b",)))
    ollama.start()
    with tempfile.TemporaryDirectory(prefix="venom-shelf-") as shelf:
        make_shelf(Path(shelf))
        house = House()
        house.environment |= environment(Path(shelf), ollama.url)
        with house:
            rounds = _run(house, wishes.rounds)
    ollama.stop()
    for what, delays in rounds.delays.items():
        tell(f"{what} → page, {len(delays)} times", delays)
    print(f"false conflicts: {rounds.conflicts}")
    longest = max(max(delays) for delays in rounds.delays.values())
    return 0 if longest < TARGET_SECONDS and not rounds.conflicts else 1


def _run(house: House, number: int) -> Rounds:
    use_database_of(house)
    page = OpenPage(house.url, sign_in())
    page.start()
    with house.client() as client:
        await_models(client)
        rounds = Rounds(house, client, page)
        rounds._start()
        for done in range(number):
            rounds.play()
            print(f"\r{done + 1} rounds ", end="", flush=True)
    page.close()
    print()
    return rounds


if __name__ == "__main__":
    sys.exit(main())
