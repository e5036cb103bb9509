"""What it costs to look at five runtimes every five seconds.

    python -m bench.polling [--seconds 60] [--runtimes 5] [--models 20]

Starts so many practice Ollamas as processes of their own, each with so many models, and
does in this process what the worker does: one round of health checks every five
seconds. Counts this process's CPU only. The bar is 1 % of a core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack

from tests import environment
from tests.practice import PracticeProcess

MOST_PERCENT = 1.0


def prepare(servers: list[PracticeProcess]) -> None:
    """A database of its own that knows these servers."""
    import django

    django.setup()
    from django.core.management import call_command

    from models_app.services.nodes import this_node
    from runtime_app.models import Runtime

    call_command("migrate", verbosity=0)
    for number, server in enumerate(servers):
        Runtime.objects.create(
            node=this_node(),
            name=f"ollama{number}",
            display_name=f"Ollama {number}",
            kind="ollama",
            base_url=server.url,
            position=number,
        )


def round_of_checks() -> float:
    """The CPU seconds of one round."""
    from runtime_app.monitoring import health

    began = time.process_time()
    health.check_node()
    return time.process_time() - began


def measure(seconds: float) -> list[float]:
    from runtime_app.monitoring import health

    first = round_of_checks()  # connections, statuses, lists: not what idling costs
    print(f"first round: {first * 1000:.1f} ms of CPU")
    rounds, ends = [], time.monotonic() + seconds
    while (began := time.monotonic()) < ends:
        rounds.append(round_of_checks())
        time.sleep(max(0.0, began + health.PERIOD_SECONDS - time.monotonic()))
    return rounds


def all_online() -> bool:
    from runtime_app.models import Runtime

    rows = Runtime.objects.values_list("status", flat=True)
    return set(rows) == {"online"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runtimes", type=int, default=5)
    parser.add_argument("--models", type=int, default=20)
    wishes = parser.parse_args()
    names = ",".join(f"bench{number}:1b" for number in range(wishes.models))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(PracticeProcess("ollama", "--models", names))
            for _ in range(wishes.runtimes)
        ]
        os.environ["DJANGO_SETTINGS_MODULE"] = "venom_site.settings"
        assert environment.folder
        prepare(servers)
        rounds = measure(wishes.seconds)
        if not all_online():
            raise SystemExit("not every server was seen online")
    percent = 100 * sum(rounds) / wishes.seconds
    print(f"{wishes.runtimes} runtimes of {wishes.models} models, {len(rounds)} rounds")
    print(f"a round: {1000 * sum(rounds) / len(rounds):.1f} ms of CPU")
    print(f"in all: {percent:.2f} % of a core (bar {MOST_PERCENT:.0f} %)")
    return 0 if percent < MOST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
