"""Random kills among the processes while operations run: is anything lost or doubled?

    python -m bench.kills [--kills 200] [--operations 100] [--seconds 3] [--seed N]

Starts `manage.py up` in a folder of its own, on DATABASE_URL and REDIS_URL if they are
set. Exits with 1 unless lost, doubled, overlaps and orphans are all zero. On a shared
database it counts only its own operations.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from uuid import UUID

from tests.running import House

# How often each is chosen: the worker is where an operation can be hurt.
WEIGHTS = {"worker": 6, "uvicorn": 2, "beat": 2, "supervisor": 1}
LOCKS = ("a", "b", "c", "")
PAUSE_SECONDS = (0.5, 7.0)  # some hit a worker that is still starting
ENDING_SECONDS = 300


def use_database_of(house: House) -> None:
    """This process reads the rows itself, with the settings of the house."""
    os.environ.update(house.environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "venom_site.settings"
    import django

    django.setup()


def request(count: int, seconds: int) -> list[UUID]:
    """So many probes, three quarters of them in three queues of one at a time."""
    from models_app.services import probe
    from venom_site.lib.access import SYSTEM

    return [
        probe.request_probe(seconds, actor=SYSTEM, lock=LOCKS[number % len(LOCKS)]).pk
        for number in range(count)
    ]


def unfinished(ids: list[UUID]) -> int:
    from django.db import connection

    from models_app.models import Operation

    connection.close()
    return Operation.objects.open().filter(pk__in=ids).count()


def kill_at_random(
    house: House, kills: int, ids: list[UUID], seconds: int
) -> Counter[str]:
    done: Counter[str] = Counter()
    while done.total() < kills:
        time.sleep(random.uniform(*PAUSE_SECONDS))
        victim = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        house.kill(victim)
        done[victim] += 1
        left = unfinished(ids)
        print(f"\r{done.total()} kills, {left} operations left ", end="", flush=True)
        if not left:  # every kill must fall on work
            ids += request(len(LOCKS), seconds)
    print()
    return done


def wait_for_all(ids: list[UUID]) -> None:
    ends = time.monotonic() + ENDING_SECONDS
    while unfinished(ids) and time.monotonic() < ends:
        time.sleep(1)


def count_faults(ids: list[UUID]) -> dict[str, int]:
    """Lost: not completed. Doubled: completed twice. Overlaps: under one lock, a line
    of an operation after a line of one that came later."""
    from models_app.models import Operation, OperationLogLine

    rows = Operation.objects.filter(pk__in=ids)
    ours = OperationLogLine.objects.filter(operation__in=ids)
    completed = Counter(
        ours.filter(line="Completed.").values_list("operation", flat=True)
    )
    overlaps = 0
    for lock in set(rows.exclude(lock_key="").values_list("lock_key", flat=True)):
        lines = ours.filter(operation__lock_key=lock, line__startswith="Step")
        order = list(lines.order_by("id").values_list("operation", flat=True))
        runs = [pk for i, pk in enumerate(order) if i == 0 or order[i - 1] != pk]
        overlaps += len(runs) - len(set(runs))
    return {
        "lost": rows.exclude(status="completed").count(),
        "doubled": sum(times > 1 for times in completed.values()),
        "overlaps": overlaps,
    }


def tell(done: Counter[str], ids: list[UUID], began: float) -> None:
    from django.db.models import Max, Sum

    from models_app.models import Operation

    rows = Operation.objects.filter(pk__in=ids)
    found = rows.aggregate(most=Max("attempts"), whole=Sum("attempts"))
    who = ", ".join(f"{name} {times}" for name, times in done.most_common())
    print(f"{done.total()} kills ({who}) during {len(ids)} operations")
    print(
        f"{time.monotonic() - began:.0f} s, attempts {found['whole']} in all, "
        f"at most {found['most']}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--operations", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None)
    wishes = parser.parse_args()
    random.seed(wishes.seed)
    began = time.monotonic()
    with House() as house:
        use_database_of(house)
        ids = request(wishes.operations, wishes.seconds)
        done = kill_at_random(house, wishes.kills, ids, wishes.seconds)
        wait_for_all(ids)
        tell(done, ids, began)
        faults = count_faults(ids)
        faults["orphans"] = len(house.stop())
        print(", ".join(f"{name} {count}" for name, count in faults.items()))
        if any(faults.values()):
            print(house.log.read_text()[-4000:])
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
