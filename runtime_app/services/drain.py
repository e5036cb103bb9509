"""Draining a model: nothing new is sent to it, and what runs may end.

The activation begins a drain, waits for it and ends it. Gateways see the `Drain` row in
their snapshot, hold new requests back, and after `ends_at` end the running ones. A
drain is over when every living gateway knows of it and answers nothing there.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from models_app.choices import LogLevel
from models_app.models import Operation
from models_app.services.work import Work
from runtime_app.governance.policy import bump_policy, policy_number
from runtime_app.models import Drain, GatewayPresence, Runtime

logger = logging.getLogger(__name__)

# A gateway writes at least every five seconds; one that missed two is dead, and so are
# its requests.
SILENCE = timedelta(seconds=12)
# After the deadline gateways still need a moment to end what runs and to say so.
ENDING_SECONDS = 5.0
LOOK_SECONDS = 0.2
# Gateways that answer nothing there confirm at once.
QUICK_LOOKS, QUICK_LOOK_SECONDS = 20, 0.05
FORGOTTEN = timedelta(minutes=1)


def begin_drain(
    runtime: Runtime, served_name: str, *, seconds: float, work: Work
) -> Drain:
    """Tell the gateways; a drain that a former claim began goes on as it was."""
    ours = {"runtime": runtime, "served_name": served_name}
    operation = work.operation.pk
    with transaction.atomic():
        # Control runs one at a time on a node: another's drain was left behind.
        Drain.objects.filter(**ours).exclude(operation_id=operation).delete()
        ends_at = timezone.now() + timedelta(seconds=seconds)
        drain, is_new = Drain.objects.get_or_create(
            **ours, operation_id=operation, defaults={"ends_at": ends_at}
        )
        if is_new:
            bump_policy()
    return drain


def end_drain(drain: Drain) -> None:
    with transaction.atomic():
        if Drain.objects.filter(pk=drain.pk).delete()[0]:
            bump_policy()


def end_drains(operation_id: Any) -> bool:
    """All that one operation began; whether there was any."""
    with transaction.atomic():
        found = Drain.objects.filter(operation_id=operation_id).delete()[0] > 0
        if found:
            bump_policy()
    return found


def await_drained(work: Work, drain: Drain) -> None:
    """Until everything there has ended, by itself or by the gateways; says so in the
    log when one of them does not confirm it in time."""
    number = policy_number()
    last = drain.ends_at + timedelta(seconds=ENDING_SECONDS)
    looks = 0
    while not _is_drained(drain, number):
        if timezone.now() > last:
            words = f"A gateway did not say that {drain.served_name} is free."
            work.log(words, LogLevel.WARNING)
            return
        _say_how_many(work, drain.runtime.name, drain.served_name)
        work.wait(QUICK_LOOK_SECONDS if looks < QUICK_LOOKS else LOOK_SECONDS)
        looks += 1


def await_idle(work: Work, runtime: str, served_name: str) -> None:
    """Until no living gateway answers anything there; as long as it takes."""
    while in_flight(runtime, served_name):
        _say_how_many(work, runtime, served_name)
        work.wait(LOOK_SECONDS)


def in_flight(runtime: str, served_name: str) -> int:
    """Requests that living gateways have answered there; "" means all its models."""
    return sum(_running_on(row, runtime, served_name) for row in _alive())


def in_flight_by_runtime() -> Counter[str]:
    """Requests that all living gateways answer now, by the name of the runtime."""
    counts: Counter[str] = Counter()
    for row in _alive():
        for place, number in row.in_flight.items():
            counts[place.partition("|")[0]] += number
    return counts


def forget_dead() -> None:
    """Rows of gateways that were killed, and drains whose operation has ended."""
    GatewayPresence.objects.filter(seen_at__lt=timezone.now() - FORGOTTEN).delete()
    open_now = Operation.objects.open().values("pk")
    for drain in Drain.objects.exclude(operation_id__in=open_now):
        logger.warning("drain outlived its operation drain=%s", drain)
        end_drain(drain)


def _is_drained(drain: Drain, number: int) -> bool:
    name, model = drain.runtime.name, drain.served_name
    return all(
        row.version >= number and not _running_on(row, name, model) for row in _alive()
    )


def _alive() -> list[GatewayPresence]:
    return list(GatewayPresence.objects.alive(timezone.now() - SILENCE))


def _running_on(row: GatewayPresence, runtime: str, served_name: str) -> int:
    """Of one gateway; its places are `<runtime>|<served name>`."""
    return sum(
        count
        for place, count in row.in_flight.items()
        if place == f"{runtime}|{served_name}"
        or (not served_name and place.startswith(f"{runtime}|"))
    )


def _say_how_many(work: Work, runtime: str, served_name: str) -> None:
    if count := in_flight(runtime, served_name):
        words = f"Requests that still run on {served_name or runtime}: {count}."
        work.report(message=words)
