"""The rows of `bench.history`: thirty days of a busy installation, and their writing.

10 models of 4 providers, 20 keys, 200 sessions; 2 % failed, 1 % fallen back, 2 % slow;
previews of 500 characters, a trace of a kilobyte. One model was used three weeks ago
only, one request is lost, a few took minutes.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

BYGONE = "Bygone/Model-1"
PROVIDERS = ("ollama", "ollama", "vllm", "openai", "google")
ERRORS = ("upstream_timeout", "upstream_offline", "upstream_error", "upstream_cut")
PREVIEW = "What do the rows of a history say about the weather? " * 10
STEP = {
    "component": "gateway",
    "action": "sent",
    "timestamp": "2026-11-21T10:00:00.000Z",
    "status": "ok",
    "details": "asked ollama at http://127.0.0.1:11434/v1 for model-3:4b",
}
TRACE = json.dumps({"v": 1, "candidates": [], "hops": [], "steps": [STEP] * 6})
CHUNK_ROWS = 20_000

Row = tuple[Any, ...]
_chance = random.Random(4)


def made_rows() -> int:
    from history_app.models import RequestRecord

    return RequestRecord.objects.count()


def made(count: int, *, days: float = 30) -> Iterator[Row]:
    """So many rows in order of time, ending now, in column order for the driver."""
    from django.db import connection
    from django.utils import timezone

    from history_app.models import RequestRecord

    columns = RequestRecord._meta.concrete_fields
    defaults = {column.name: column.get_default() for column in columns}
    defaults |= {"parameters": '{"temperature": 0.7}', "trace": TRACE}
    now = timezone.now()
    native = connection.features.has_native_uuid_field
    for number in range(count):
        created = now - timedelta(days=days) * (1 - number / count)
        row = defaults | _request(created, number / count if days else 1.0)
        row["id"] = row["id"] if native else row["id"].hex
        for name in ("created_at", "touched_at", "finished_at"):
            row[name] = connection.ops.adapt_datetimefield_value(row[name])
        yield tuple(row[column.name] for column in columns)


def _request(created: datetime, age: float) -> dict[str, Any]:
    chosen = _chance.randrange(10)
    model, provider = f"model-{chosen}:4b", PROVIDERS[chosen // 2]
    if 0.30 < age < 0.31:
        model = BYGONE
    milliseconds = int(created.timestamp() * 1000)
    key = uuid.UUID(
        int=milliseconds << 80 | 7 << 76 | 2 << 62 | _chance.getrandbits(62)
    )
    number = _chance.randrange(20)
    duration = _chance.expovariate(1 / 2.5)
    if _chance.random() < 0.00002:
        duration += 600
    ended = created + timedelta(seconds=duration)
    return _failure(age) | {
        "id": key,
        "request_id": str(key),
        "created_at": created,
        "touched_at": ended,
        "finished_at": ended,
        "duration_seconds": duration,
        "ttft_seconds": duration / 5,
        "overhead_seconds": 0.001,
        "requested_model": _chance.choice(("auto", model)),
        "llm_provider": provider,
        "llm_model": model,
        "llm_endpoint": "http://127.0.0.1:11434/v1",
        "runtime": provider,
        "attempts": 1,
        "fallback": _chance.random() < 0.01,
        "input_tokens": 500,
        "output_tokens": 200,
        "key_id": f"key-{number}",
        "key_name": f"program-{number}",
        "session_id": f"session-{_chance.randrange(200)}",
        "prompt_preview": PREVIEW[:500],
        "answer_preview": PREVIEW[20:520],
    }


def _failure(age: float) -> dict[str, Any]:
    if 0.4 <= age < 0.400001:
        return {"status": "LOST", "error_code": "internal_error"}
    if _chance.random() >= 0.02:
        return {"status": "COMPLETED", "http_status": 200}
    code = _chance.choice(ERRORS)
    return {"status": "FAILED", "http_status": 502, "error_code": code}


def fill(count: int) -> None:
    """In large transactions; PostgreSQL by COPY."""
    from django.db import connection

    rows = made(count)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        if connection.vendor == "postgresql":
            _copy(chunk)
        else:
            insert(chunk)


def _names() -> tuple[str, str]:
    from history_app.models import RequestRecord

    meta = RequestRecord._meta
    return meta.db_table, ", ".join(f'"{c.attname}"' for c in meta.concrete_fields)


def _copy(rows: list[Row]) -> None:
    from django.db import connection

    table, names = _names()
    with connection.cursor() as cursor:
        words = f"COPY {table} ({names}) FROM STDIN"
        with cursor.cursor.copy(words) as copy:
            for row in rows:
                copy.write_row(row)


def insert(rows: list[Row]) -> None:
    """One transaction, as the recorder writes a batch."""
    from django.db import connection, transaction

    table, names = _names()
    places = ", ".join(["%s"] * len(rows[0]))
    words = f"INSERT INTO {table} ({names}) VALUES ({places})"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(words, rows)
