"""What the history costs: rows a second to the database, and begin + end of a request.

    python -m bench.recorder [--rows 20000]

Makes a database of its own: SQLite in a folder, or with DATABASE_URL one beside the
PostgreSQL database that it names. Compares the recorder's batches with the same
statement run by the bare driver, alone and while three readers list requests.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

ROUNDS = 3
READERS = 3
ANSWER = "It is sunny in Gdańsk, with a light wind from the sea. " * 9
TRACE = {
    "v": 1,
    "candidates": [
        {
            "runtime": name,
            "provider": name,
            "model": "gemma3:4b",
            "verdict": verdict,
            "reason": reason,
            "detail": "",
        }
        for name, verdict, reason in (
            ("ollama", "chosen", "PRIMARY_PROVIDER_SELECTED"),
            ("vllm", "passed_over", "FALLBACK_OFFLINE"),
        )
    ],
    "hops": [
        {
            "runtime": "ollama",
            "provider": "ollama",
            "model": "gemma3:4b",
            "endpoint": "http://127.0.0.1:11434/v1",
            "status": 200,
            "duration_ms": 812.5,
            "reason_code": "PRIMARY_PROVIDER_SELECTED",
            "error_code": "",
        }
    ],
    "steps": [
        {
            "component": component,
            "action": action,
            "timestamp": "2026-11-21T10:00:00.000Z",
            "status": "ok",
            "details": "",
        }
        for component, action in (
            ("gateway", "received"),
            ("routing", "chosen"),
            ("upstream", "first_token"),
            ("gateway", "finished"),
        )
    ],
    "notes": ["top_k was left out: practice does not know it."],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="venom-bench-") as folder, own_database():
        os.environ |= {"VENOM_DATA_DIR": folder, "VENOM_SKIP_BOOTSTRAP": "1"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "venom_site.settings"
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        report(chosen.rows)
        connections.close_all()
        if pool := getattr(connections["default"], "pool", None):
            pool.close()


@contextlib.contextmanager
def own_database() -> Iterator[None]:
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield
        return
    import psycopg

    given = urlsplit(url)
    name = f"{given.path.strip('/')}_bench"
    server = given._replace(path="/postgres").geturl()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
        os.environ["DATABASE_URL"] = given._replace(path=f"/{name}").geturl()
        try:
            yield
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def report(count: int) -> None:
    from django.db import connection

    print(f"{connection.vendor}, {count} rows a round, medians of {ROUNDS}")
    bare, alone, read = [], [], []
    for _ in range(ROUNDS):
        bare.append(rate(driver_values(count), write_bare))
        alone.append(rate(handles(count), write_batches))
        with readers() as pages:
            read.append(rate(handles(count), write_batches))
    say("bare executemany", bare)
    say("recorder's batches", alone)
    say(f"with {READERS} readers, {pages[0]} pages", read)
    micros = statistics.median(requests())
    print(f"{'begin + end, CPU':32} {micros:8.1f} µs a request")


def say(name: str, found: list[tuple[float, float]]) -> None:
    rows, micros = (statistics.median(numbers) for numbers in zip(*found, strict=True))
    print(f"{name:32} {rows:8.0f} rows/s {micros:8.1f} µs of CPU a row")


def rate(rows: list, write) -> tuple[float, float]:
    """Rows a second, and CPU of this thread a row."""
    began, worked = time.perf_counter(), time.thread_time()
    write(rows)
    seconds = time.perf_counter() - began
    return len(rows) / seconds, (time.thread_time() - worked) / len(rows) * 1e6


def handles(count: int) -> list[dict]:
    """Ended rows as the gateway's handles hold them; nothing writes them yet."""
    from history_app.recorder import Recorder
    from history_app.services.writer import Writer

    class Quiet(Writer):
        def put(self, pk, row) -> None:
            pass

    recorder = Recorder()
    recorder._writer = Quiet(every_minute=lambda: None)
    return [one_request(recorder).fields for _ in range(count)]


def driver_values(count: int) -> list[tuple]:
    from history_app.services.row_values import of_columns, storable

    return of_columns([storable(row) for row in handles(count)])


def one_request(recorder):
    from history_app.choices import RequestStatus

    handle = recorder.begin(
        prompt="What is the weather in Gdańsk today? " * 10,
        path="/v1/chat/completions",
        stream=True,
        requested_model="auto",
        parameters={"temperature": 0.7, "max_tokens": 512},
        llm_provider="ollama",
        llm_model="gemma3:4b",
        llm_endpoint="http://127.0.0.1:11434/v1",
        runtime="ollama",
        node="bench",
        key_id="0192f0c4-7c51-7a2b-8000-1234567890ab",
        key_name="bench",
        attempts=1,
        reason_code="PRIMARY_PROVIDER_SELECTED",
    )
    handle.end(
        RequestStatus.COMPLETED,
        answer=ANSWER,
        http_status=200,
        duration_seconds=0.8,
        ttft_seconds=0.1,
        overhead_seconds=0.0004,
        input_tokens=40,
        output_tokens=120,
        trace=TRACE,
    )
    return handle


def write_batches(rows: list[dict]) -> None:
    from history_app.services import batches

    for start in range(0, len(rows), batches.BATCH_ROWS):
        batches.write(rows[start : start + batches.BATCH_ROWS])


def write_bare(values: list[tuple]) -> None:
    """The same statement and transactions, the values made beforehand."""
    from django.db import connection, transaction

    from history_app.services import batches

    statement = batches._statement(connection.vendor, 1)
    for start in range(0, len(values), batches.BATCH_ROWS):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, values[start : start + batches.BATCH_ROWS])


@contextlib.contextmanager
def readers() -> Iterator[list[int]]:
    """Threads that read the first page and one request, ten times a second each."""
    from django.db import connection

    from history_app.models import RequestRecord

    is_over, pages = threading.Event(), [0]

    def read() -> None:
        while not is_over.wait(0.1):
            list(RequestRecord.objects.newest_first()[:50])
            pages[0] += 1
        connection.close()

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    yield pages
    is_over.set()
    for thread in threads:
        thread.join()


def requests(count: int = 5000) -> list[float]:
    """CPU of the caller's thread for begin and end, the writer running beside it."""
    from history_app.recorder import Recorder

    found = []
    recorder = Recorder()
    for _ in range(5):
        began = time.thread_time()
        for _ in range(count):
            one_request(recorder)
        found.append((time.thread_time() - began) / count * 1e6)
        while recorder.waiting:
            time.sleep(0.05)
    recorder.flush_at_exit()
    while not recorder._writer._is_paid():  # it still needs the database
        time.sleep(0.05)
    return found


if __name__ == "__main__":
    main()
