"""A history of a million requests: each filter, page 10,000, new rows, the export.

    python -m bench.history [--rows 1000000] [--postgres postgres://user@host:port]

Fills a database of its own (SQLite in a temporary folder, or one on that PostgreSQL
server, dropped at the end) with thirty days of requests, before and after the indexes
of migration 0003. Times are those of the whole call, rows made into objects included.
Exits with 1 over a bar: 150 ms a page, 20,000 rows looked at, an export that takes
20 MiB more than the program before its first row.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import history_rows

PAGE_ROWS = 50
MOST_SECONDS, MOST_GROWN_KIB = 0.150, 20 * 1024
TIMES = 7
BATCH_ROWS, BATCHES = 500, 40
EXPORT = "--export-only"  # the child that is weighed


def use_database(folder: str, url: str) -> None:
    os.environ |= {
        "VENOM_DATA_DIR": folder,
        "VENOM_ENV_FILE": os.devnull,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "venom_site.settings",
    }
    import django

    django.setup()


@contextmanager
def database_on(server: str) -> Iterator[str]:
    """A PostgreSQL database of our own; its address."""
    import psycopg

    name = f"venom_bench_{os.getpid()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{server}/{name}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def migrate(*target: str) -> float:
    from django.core.management import call_command

    began = time.perf_counter()
    call_command("migrate", *target, verbosity=0)
    return time.perf_counter() - began


def settle() -> None:
    """As autovacuum leaves a table; SQLite is measured without statistics."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE history_app_requestrecord")


def rows_a_second() -> float:
    """Of small batches on top of all the rows, as the recorder writes them; by the
    median batch, since a checkpoint of what was filled before falls into some."""
    times = []
    for _ in range(BATCHES):
        batch = list(history_rows.made(BATCH_ROWS, days=0))
        began = time.perf_counter()
        history_rows.insert(batch)
        times.append(time.perf_counter() - began)
    return BATCH_ROWS / statistics.median(times)


def taken(call: Callable[[], Any]) -> tuple[float, Any]:
    """Least seconds of some calls after a first one, and the last result: what else
    the machine does only adds."""
    call()
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return min(times), result


def filters() -> dict[str, Any]:
    from django.utils import timezone

    from history_app.models import RequestRecord
    from history_app.services.filters import RequestFilters

    now = timezone.now()
    middle = RequestRecord.objects.newest_first()[history_rows.made_rows() // 2]
    some: dict[str, dict[str, Any]] = {
        "All": {},
        "Errors: status=FAILED": {"status": "FAILED"},
        "Fallbacks: fallback=true": {"fallback": True},
        "Slow: min_duration=10": {"min_duration": 10.0},
        "Cloud": {"is_cloud": True},
        "status=COMPLETED": {"status": "COMPLETED"},
        "status=LOST, one row": {"status": "LOST"},
        "provider": {"provider": "vllm"},
        "provider, none": {"provider": "nobody"},
        "model": {"model": "model-3:4b"},
        "model of three weeks ago": {"model": history_rows.BYGONE},
        "since, until: one old hour": {
            "since": now - timedelta(days=20, hours=1),
            "until": now - timedelta(days=20),
        },
        "min_duration=1": {"min_duration": 1.0},
        "min_duration=500, few": {"min_duration": 500.0},
        "error_code": {"error_code": "upstream_timeout"},
        "error_code, rare": {"error_code": "internal_error"},
        "key by id": {"key": "key-7"},
        "key by name": {"key": "program-7"},
        "session_id": {"session_id": "session-77"},
        "fallback=false": {"fallback": False},
        "q: a request id": {"q": middle.request_id},
        "q: every request id": {"q": "0"},
        "q: session": {"q": "session-7"},
        "q: key": {"q": "PROGRAM-7"},
        "q: model": {"q": "model"},
        "q: rare model": {"q": "bygone"},
        "q: nothing": {"q": "nowhere"},
        "provider + model": {"provider": "vllm", "model": "model-3:4b"},
        "model + status": {"model": "model-3:4b", "status": "FAILED"},
        "provider + slow": {"provider": "ollama", "min_duration": 10.0},
        "provider + its absence": {"provider": "ollama", "model": history_rows.BYGONE},
        "session + q: model": {"session_id": "session-77", "q": "model-3"},
        "key + slow, few": {"key": "key-7", "min_duration": 500.0},
    }
    return {name: RequestFilters(**given) for name, given in some.items()}


def looked_at(wanted: Any, page: Any) -> int:
    """Rows on the way to this first page."""
    from history_app.models import RequestRecord
    from history_app.services.filters import way_to
    from history_app.services.search import MOST_LOOKED_AT

    way = way_to(wanted)
    if not way.others:
        return len(page.items) + bool(page.next_cursor)
    if not page.complete:
        return MOST_LOOKED_AT
    rows = RequestRecord.objects.between(wanted.since, wanted.until).filter(way.lead)
    if page.next_cursor:
        last = page.items[-1]
        rows = rows.down_to(last.created_at, last.pk)
    return rows.count()


def tell_filters() -> bool:
    from history_app.models import RequestRecord
    from history_app.services.search import MOST_LOOKED_AT, page_of

    newest = RequestRecord.objects.newest_first().for_lists()
    bare, _ = taken(lambda: list(newest[: PAGE_ROWS + 1]))
    print(f"bare SELECT … LIMIT 51 by the newest index: {bare * 1000:.1f} ms")
    print("| filter | ms | times bare | rows shown | looked at | complete |")
    print("|---|---|---|---|---|---|")
    is_good = True
    for name, wanted in filters().items():
        seconds, page = taken(lambda wanted=wanted: page_of(wanted, limit=PAGE_ROWS))
        looks = looked_at(wanted, page)
        is_good &= seconds <= MOST_SECONDS and looks <= MOST_LOOKED_AT
        print(
            f"| {name} | {seconds * 1000:.1f} | {seconds / bare:.1f} "
            f"| {len(page.items)} | {looks} | {'yes' if page.complete else 'no'} |",
            flush=True,
        )
    return is_good


def tell_depth() -> None:
    from history_app.models import RequestRecord
    from history_app.services.filters import RequestFilters
    from history_app.services.search import page_of
    from venom_site.lib import cursors

    wanted = RequestFilters()
    first, _ = taken(lambda: page_of(wanted, limit=PAGE_ROWS))
    number = min(10_000, history_rows.made_rows() // PAGE_ROWS - 1)
    place = RequestRecord.objects.key_at(number * PAGE_ROWS - 1)
    cursor = cursors.encode(*place) if place else ""
    deep, _ = taken(lambda: page_of(wanted, limit=PAGE_ROWS, cursor=cursor))
    print(f"page 1: {first * 1000:.1f} ms, page {number}: {deep * 1000:.1f} ms")


async def export_all(form: str) -> tuple[int, int]:
    from history_app.services.export import ExportFormat, export
    from history_app.services.filters import RequestFilters

    lines = size = 0
    parts = export(RequestFilters(), ExportFormat(form), may_view_payload=True)
    async for part in parts:
        lines += part.count(b"\n")
        size += len(part)
    return lines, size


def peak_kib() -> int:
    """Of this program; `ru_maxrss` would count the parent from before exec."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def export_here(form: str) -> None:
    """What the child prints: rows a second, bytes, and all its memory."""
    began, worked = time.perf_counter(), time.process_time()
    before = peak_kib()
    lines, size = asyncio.run(export_all(form))
    seconds, busy = time.perf_counter() - began, time.process_time() - worked
    peak = peak_kib()
    print(
        f"export {form}: {lines} lines, {size / 1e6:.0f} MB, {lines / seconds:.0f} "
        f"rows/s ({lines / busy:.0f} a second of CPU); "
        f"process {before / 1024:.0f} MiB before, {peak / 1024:.0f} MiB at most",
        flush=True,
    )
    if peak - before > MOST_GROWN_KIB:
        raise SystemExit(1)


def tell_export(rows: int) -> bool:
    command = [sys.executable, "-m", "bench.history", "--rows", str(rows), EXPORT]
    return subprocess.run([*command, "jsonl"], check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgres", default="", help="address of a server")
    parser.add_argument(EXPORT, default="", help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.export_only:
        use_database(os.environ["VENOM_DATA_DIR"], os.environ["DATABASE_URL"])
        export_here(wishes.export_only)
        return 0
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="venom-bench-"))
        url = f"sqlite:///{folder}/history.sqlite3"
        if wishes.postgres:
            url = stack.enter_context(database_on(wishes.postgres))
        use_database(folder, url)
        return measure(wishes.rows)


def measure(rows: int) -> int:
    from django.db import connection

    migrate()
    migrate("history_app", "0002")
    began = time.perf_counter()
    history_rows.fill(rows)
    print(f"{connection.vendor}: {rows} rows in {time.perf_counter() - began:.0f} s")
    without = rows_a_second()
    print(f"indexes of 0003 built in {migrate('history_app'):.1f} s", flush=True)
    settle()
    indexed = rows_a_second()
    print(
        f"batches of {BATCH_ROWS}: {without:.0f} rows/s before, {indexed:.0f} after, "
        f"ratio {indexed / without:.2f}"
    )
    is_good = tell_filters()
    tell_depth()
    is_good &= tell_export(rows)
    connection.close()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
