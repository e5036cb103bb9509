"""The Models page with a thousand installed: time, queries, rows and bytes.

    python -m bench.models_page [--models 1000] [--requests 50]

Starts `manage.py up` in a folder of its own without an Ollama, writes so many rows and
asks for the page over HTTP as a browser would, and once within this process for its
queries. Bars: 50 rows, 100 ms, 12 queries, 20 KB.
"""

from __future__ import annotations

import argparse
import gzip
import re
import statistics
import sys
import time

import httpx

from bench.kills import use_database_of
from bench.push import sign_in, tell
from tests.running import House

PAGE = "/models/"
ROW = re.compile(r"/models/ollama/bench(\d+):1b/")
MOST_ROWS, MOST_QUERIES, MOST_BYTES, MOST_SECONDS = 50, 12, 20_000, 0.1


def furnish(count: int) -> None:
    """So many installed models, as different from each other as real ones."""
    from models_app.models import Capabilities, InstalledModel
    from models_app.services.nodes import this_node

    node = this_node()
    rows = [
        InstalledModel(
            node=node,
            provider="ollama",
            name=f"bench{number}:1b",
            digest=f"{number:064x}",
            size_bytes=815_319_791 + number,
            family=("gemma3", "llama", "qwen3")[number % 3],
            parameter_size="999.89M",
            quantization=("Q4_K_M", "Q8_0")[number % 2],
            context_length=32_768,
        )
        for number in range(count)
    ]
    InstalledModel.objects.bulk_create(rows, batch_size=500)
    told = [Capabilities(model=row, supports_chat=True) for row in rows]
    Capabilities.objects.bulk_create(told, batch_size=500)


def queries_of(cookie: str) -> tuple[int, float]:
    """Queries and seconds of one answer within this process."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"Cookie": cookie}, SERVER_NAME="127.0.0.1")
    client.get(PAGE)
    began = time.perf_counter()
    with CaptureQueriesContext(connection) as caught:
        answer = client.get(PAGE)
    if answer.status_code != 200:
        raise SystemExit(f"the page answered {answer.status_code}")
    return len(caught), time.perf_counter() - began


def ask(url: str, cookie: str, requests: int) -> tuple[list[float], bytes]:
    """The seconds of each answer over HTTP, and the last one's text."""
    taken: list[float] = []
    with httpx.Client(
        base_url=url, headers={"Cookie": cookie}, trust_env=False, timeout=30
    ) as client:
        for _ in range(requests + 3):
            began = time.perf_counter()
            answer = client.get(PAGE)
            taken.append(time.perf_counter() - began)
            answer.raise_for_status()
    return taken[3:], answer.content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=50)
    wishes = parser.parse_args()
    with House() as house:
        use_database_of(house)
        furnish(wishes.models)
        cookie = sign_in()
        queries, inside = queries_of(cookie)
        taken, page = ask(house.url, cookie, wishes.requests)
    rows = len(set(ROW.findall(page.decode())))
    size = len(gzip.compress(page, 6))
    print(f"{wishes.models} installed: {rows} rows on the page (bar {MOST_ROWS})")
    tell("over HTTP", taken)
    print(f"within the process: {inside * 1000:.1f} ms (bar {MOST_SECONDS * 1000:.0f})")
    print(f"queries: {queries} (bar {MOST_QUERIES})")
    print(f"bytes: {len(page)}, gzipped {size} (bar {MOST_BYTES})")
    good = (
        0 < rows <= MOST_ROWS
        and queries <= MOST_QUERIES
        and size <= MOST_BYTES
        and statistics.median(taken) <= MOST_SECONDS
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
