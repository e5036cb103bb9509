"""Requests with some of each fault: every one has its answer and its row, nothing stays
open, the memory is flat, and no credential that went in comes out anywhere."""

import asyncio
import json
import random
import time
from collections import Counter

import pytest

from tests.endurance.client import Client
from tests.endurance.house import House, standing
from tests.endurance.kinds import Kind, series
from tests.endurance.planted import Keys, secrets_of
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

AT_ONCE = 32
Asked = dict[str, Kind]


def test_five_hundred_requests_with_some_of_each_fault(tmp_path):
    carry_out(tmp_path, 500, parts=1)


@pytest.mark.deep
def test_ten_thousand_requests_with_some_of_each_fault(tmp_path):
    sizes = carry_out(tmp_path, 10_000, parts=10)
    warm, late = sizes[2:6], sizes[6:]
    assert max(late) < max(warm) * 1.05, sizes


def carry_out(folder, count: int, *, parts: int) -> list[float]:
    """The whole series and its checks; returns the memory after each part."""
    asked = named(series(count))
    with standing(folder) as (house, keys):
        client = Client(house.product.url, keys)
        began = time.monotonic()
        wrong, sizes = asyncio.run(ask_all(client, asked, house, parts))
        seconds = time.monotonic() - began
        wait_until(lambda: not still_open(house, keys), seconds=10)
        told = house.told(keys.operator)
        left = dict(house.left_behind())
    print(f"\n{count} requests in {seconds:.1f} s, memory {sizes[0]:.0f} MB,")
    print("then", " ".join(f"{size:.0f}" for size in sizes[1:]))
    assert wrong == {}
    assert differences(asked, rows_of(told["rows"])) == {}
    assert_no_secret(keys, client.leaks, told, left)
    return sizes


def named(kinds: list[Kind]) -> Asked:
    random.Random(7).shuffle(kinds)
    return {f"{kind.name}-{place:06}": kind for place, kind in enumerate(kinds)}


async def ask_all(
    client: Client, asked: Asked, house: House, parts: int
) -> tuple[dict[str, object], list[float]]:
    """What was answered otherwise than it should, and the memory after each part."""
    wrong: dict[str, object] = {}
    names, sizes = list(asked), [house.memory()]
    each = -(-len(names) // parts)
    for start in range(0, len(names), each):
        left = iter(names[start : start + each])
        await asyncio.gather(
            *(one_after_the_other(client, asked, left, wrong) for _ in range(AT_ONCE))
        )
        sizes.append(house.memory())
    await client.close()
    return wrong, sizes


async def one_after_the_other(client, asked, names, wrong) -> None:
    for name in names:
        kind = asked[name]
        seen = await client.ask(kind, name)
        code = "" if kind.outcome == "CANCELLED" else kind.code
        # A server's own refusal goes on in its own words.
        if seen != (kind.status, code) and kind.code != "bad_request":
            wrong[name] = seen


def still_open(house: House, keys: Keys) -> dict[str, int]:
    rows = rows_of(house.told(keys.operator)["rows"])
    counts = {
        "rows": sum(row["finished_at"] is None for row in rows.values()),
        "upstream": house.in_flight(),
        "clients": house.open_connections(),
    }
    return {name: count for name, count in counts.items() if count}


def rows_of(exported: bytes) -> dict[str, dict]:
    rows = [json.loads(line) for line in exported.splitlines()]
    found = {row["request_id"]: row for row in rows}
    assert len(found) == len(rows), "one request, two rows"
    return found


def differences(asked: Asked, rows: dict[str, dict]) -> dict[str, object]:
    """Where the history says something else than what happened."""
    wrong: dict[str, object] = dict.fromkeys(rows.keys() - asked.keys(), "unknown")
    for name, kind in asked.items():
        row = rows.get(name)
        if row is None or not kind.outcome:
            if (row is None) != (not kind.outcome):
                wrong[name] = row
        elif outcome_of(row) != expected_of(kind):
            wrong[name] = outcome_of(row)
    return wrong


def outcome_of(row: dict) -> tuple[object, ...]:
    fields = ("status", "error_code", "error_class", "partial", "fallback")
    return tuple(row[field] or "" for field in fields)


def expected_of(kind: Kind) -> tuple[object, ...]:
    fields = (kind.outcome, kind.code, kind.error_class, kind.partial, kind.fallback)
    return tuple(field or "" for field in fields)


def assert_no_secret(keys: Keys, leaks: Counter, told: dict, left: dict) -> None:
    assert leaks == Counter()
    assert b"Ask with" in told["rows"]
    assert b"llm_provider_error" in told["alerts"]
    assert b"upstream_offline" in b"".join(left.values())
    for name, content in {**told, **left}.items():
        for secret in secrets_of(keys):
            assert secret not in content, f"{secret!r} in {name}"
