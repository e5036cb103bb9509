"""From an event in one process to an open page: p50, p95 and the longest.

    python -m bench.push [--events 100] [--pages 20]

Starts `manage.py up` in a folder of its own (on DATABASE_URL and REDIS_URL if set),
opens so many pages on `/ws/ui/` and one program on `/ws/events/`, and publishes changes
of one operation from this process, 0.6 s apart. The target is 500 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.asyncio.client import ClientConnection, connect

from bench.kills import use_database_of
from tests.running import House

GAP_SECONDS = 0.6  # two updates a second of one object are let through
TARGET_SECONDS = 0.5


def sign_in() -> str:
    """The cookie of a session made for this measurement."""
    from django.contrib.auth.models import User
    from django.test import Client

    user = User.objects.create_superuser(f"push-{time.time_ns()}")
    client = Client()
    client.force_login(user)
    return f"venom_session={client.cookies['venom_session'].value}"


@contextmanager
def running_operation() -> Iterator[str]:
    """The id of an operation that this process keeps alive and does nothing for."""
    from django.db import connection

    from models_app.services import claims, operation_rows, probe
    from venom_site.lib.access import SYSTEM

    operation = probe.request_probe(600, actor=SYSTEM, lock=f"push{time.time_ns()}")
    work = claims.claim(operation.pk)
    if work is None:
        raise SystemExit("the worker was faster, run it again")
    connection.close()
    with work:
        yield str(operation.pk)
    operation_rows.finish(operation.pk, work.token, "completed")


def publish(pk: str, progress: int) -> float:
    """One change as a worker writes it; the moment before it was announced."""
    from django.db import connection

    from models_app.models import Operation
    from models_app.services import operation_rows, operations

    changing = Operation.objects.filter(pk=pk)
    changing.update(progress=progress, message=f"mark {progress}.")
    began = time.perf_counter()
    operation_rows.announce(operations.get_operation(pk))
    connection.close()
    return began


async def heard(socket: ClientConnection, mark: str) -> float:
    while mark not in str(await socket.recv()):
        pass
    return time.perf_counter()


async def measure(url: str, cookie: str, pk: str, events: int, pages: int) -> list:
    headers = {"Cookie": cookie}
    address = url.replace("http", "ws")
    paths = ["/ws/events/"] + ["/ws/ui/?topics=ops"] * pages
    sockets = [
        await connect(address + path, additional_headers=headers, proxy=None)
        for path in paths
    ]
    delays = []
    for number in range(events):
        await asyncio.sleep(GAP_SECONDS)
        mark = f"mark {number % 100}."
        waiting = [asyncio.ensure_future(heard(socket, mark)) for socket in sockets]
        began = await asyncio.to_thread(publish, pk, number % 100)
        arrived = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        delays.append([moment - began for moment in arrived])
    for socket in sockets:
        await socket.close()
    return delays


def tell(name: str, seconds: list[float]) -> float:
    ranks = statistics.quantiles(seconds, n=20)
    p50, p95, most = statistics.median(seconds), ranks[18], max(seconds)
    print(
        f"{name}: p50 {p50 * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms, "
        f"longest {most * 1000:.1f} ms"
    )
    return p95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--pages", type=int, default=20)
    wishes = parser.parse_args()
    with House() as house:
        use_database_of(house)
        cookie = sign_in()
        with running_operation() as pk:
            delays = asyncio.run(
                measure(house.url, cookie, pk, wishes.events, wishes.pages)
            )
    tell("event → program", [row[0] for row in delays])
    pages = [delay for row in delays for delay in row[1:]]
    p95 = tell(f"event → each of {wishes.pages} pages", pages)
    return 0 if p95 < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
