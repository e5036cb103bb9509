"""The health check: look at every runtime of this node, keep what was seen.

Called by the beat job every five seconds and once when a server is added. Looking is
wire only and happens in threads; writing is one short UPDATE. Nothing here raises out
of a job: a server that misbehaves is a status.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_app.models import Node
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.events import runtime_changed
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.models.runtimes import recent
from runtime_app.monitoring import pins, process_watch
from runtime_app.monitoring.server_look import (
    Process,
    mind,
    process_changed,
    process_of,
)
from runtime_app.monitoring.server_states import state_of
from runtime_app.runtimes.base import Observation, failed
from runtime_app.runtimes.registry import adapter_for
from runtime_app.schemas import server_payload
from runtime_app.services import active, alias_guard, seeding
from runtime_app.services.memory_seen import has_moved, keep_measured
from venom_site.lib.errors import WireError
from venom_site.lib.events import publish
from venom_site.lib.queue import send_job

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 5
SECOND_LOOK_SECONDS = 1
LOOK_SECONDS = 15  # two looks of a server that answers, but barely
NODE_LIVE = timedelta(seconds=60)
MOST_CHANGES_KEPT = 50
DISCOVERY_LIFE_SECONDS = 60
NEWS = frozenset(
    {
        *("status", "version", "served_models", "loaded_models"),
        *("managed_by", "pid", "process", "holder"),
    }
)
ANSWERING = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})


class Verdict(NamedTuple):
    status: str
    failed_checks: int


def next_status(
    status: str, failed_checks: int, seen: Observation, *, is_gone: bool = False
) -> Verdict:
    """The rule against flapping.

    A server that answers leaves that state only after two failed looks in a row, or
    when its process is gone (`is_gone`); one good look brings it back; a server that
    did not answer shows what it does now.
    """
    if not seen.is_failure:
        return Verdict(seen.status, 0)
    failed_checks += 1
    if status in ANSWERING and failed_checks < 2 and not is_gone:
        return Verdict(status, failed_checks)
    return Verdict(seen.status, failed_checks)


def fan_out() -> None:
    """Ask every live node, and always our own, to look at its servers."""
    live = Node.objects.filter(last_seen_at__gte=timezone.now() - NODE_LIVE)
    names = set(live.values_list("name", flat=True)) | {settings.NODE}
    for name in sorted(names):
        send_job(
            "runtime_app.check_health",
            queue=f"node.{name}",
            life_seconds=PERIOD_SECONDS,
        )


def check_node() -> None:
    """Look at all servers of this node at once; write each as it comes in."""
    began = timezone.now()
    rows = Runtime.objects.of_profile().of_node(settings.NODE).in_order()
    runtimes, alive = list(rows.with_names()), list[str]()
    # One that another check holds, or that hangs, stays watched: its end is news.
    unseen = {runtime.pk: runtime.process for runtime in runtimes}
    for runtime, looks, process in _look_at_all(runtimes):
        del unseen[runtime.pk]
        keep(runtime, looks, process)
        alias_guard.watch(runtime, looks[-1].models, since=began)
        pins.hold(runtime, looks[-1])
        mind(runtime, process)
        alive += [process.seen.identity] if process and process.is_alive else []
    active.link_installed()
    process_watch.watch.look_after([*alive, *unseen.values()])


def check_runtime(runtime: Runtime) -> Runtime:
    """Look at one server now; returns the row as it is afterwards."""
    began = timezone.now()
    process = process_of(runtime)
    looks = looks_at(runtime, is_gone=_is_gone(process))
    keep(runtime, looks, process)
    alias_guard.watch(runtime, looks[-1].models, since=began)
    mind(runtime, process)
    runtime.refresh_from_db()
    return runtime


# Looking: wire only, no database

_being_looked_at: set[UUID] = set()


class Looked(NamedTuple):
    runtime: Runtime
    looks: list[Observation]
    process: Process | None


def _look_at_all(
    runtimes: list[Runtime],
) -> Iterator[Looked]:
    """In the order in which they answer. One that hangs is left behind, and not
    looked at again before its thread has come back."""
    found: SimpleQueue[Looked] = SimpleQueue()
    free = [runtime for runtime in runtimes if runtime.pk not in _being_looked_at]
    for runtime in free:
        _being_looked_at.add(runtime.pk)
        threading.Thread(target=_look, args=(runtime, found), daemon=True).start()
    ends = time.monotonic() + LOOK_SECONDS
    for _ in free:
        try:
            yield found.get(timeout=max(0.0, ends - time.monotonic()))
        except Empty:
            logger.warning("a runtime did not come back from its health check")
            return


def _look(runtime: Runtime, found: SimpleQueue[Any]) -> None:
    try:
        process = process_of(runtime)
        looks = looks_at(runtime, is_gone=_is_gone(process))
        found.put(Looked(runtime, looks, process))
    finally:
        _being_looked_at.discard(runtime.pk)


def _is_gone(process: Process | None) -> bool:
    return process is not None and process.is_gone


def looks_at(runtime: Runtime, *, is_gone: bool = False) -> list[Observation]:
    """One look, and a second one a second later when the first failed and matters."""
    looks = [_observe(runtime)]
    before = Verdict(runtime.status, runtime.failed_checks)
    verdict = next_status(*before, looks[0], is_gone=is_gone)
    if looks[0].is_failure and verdict.status == runtime.status in ANSWERING:
        time.sleep(SECOND_LOOK_SECONDS)
        looks.append(_observe(runtime))
    return looks


def _observe(runtime: Runtime) -> Observation:
    try:
        return adapter_for(runtime).observe()
    except WireError as error:
        return failed(error, RuntimeStatus.DEGRADED)
    except Exception:
        logger.exception("health check defect runtime=%s", runtime.name)
        unclear = WireError("The answer could not be understood.")
        return failed(unclear, RuntimeStatus.DEGRADED)


# Keeping: database only


def keep(
    runtime: Runtime, looks: list[Observation], process: Process | None = None
) -> None:
    """Write what changed; tell pages and gateways what matters to them.

    The row must still be as this check found it: two checks at once write once.
    """
    verdict = Verdict(runtime.status, runtime.failed_checks)
    for seen in looks:
        verdict = next_status(*verdict, seen, is_gone=_is_gone(process))
    state = state_of(runtime, verdict.status, process.seen if process else None)
    verdict = Verdict(state.status, verdict.failed_checks)
    fields = _measured(looks[-1], verdict) | _changed(runtime, looks[-1], verdict)
    if state.sentence is not None:
        fields["error_message"] = state.sentence[:500]
    fields |= process_changed(runtime, process)
    rows = Runtime.objects.filter(
        pk=runtime.pk,
        base_url=runtime.base_url,
        status=runtime.status,
        process=runtime.process,
    )
    if not fields.keys() & NEWS:
        rows.update(**fields)
        return
    with transaction.atomic():
        if rows.update(**fields):
            keep_measured(runtime, fields.get("loaded_models", ()))
            _tell(runtime, fields)


def _measured(seen: Observation, verdict: Verdict) -> dict[str, Any]:
    now = timezone.now()
    fields: dict[str, Any] = {
        "last_check_at": now,
        "latency_ms": None if seen.latency_ms is None else round(seen.latency_ms, 1),
        "failed_checks": verdict.failed_checks,
        "error_message": seen.error[:500],
    }
    if not seen.is_failure:
        fields["last_answer_at"] = now
    return fields


def _changed(runtime: Runtime, seen: Observation, verdict: Verdict) -> dict[str, Any]:
    """The fields whose change is news; a failed look keeps the last known list."""
    fields: dict[str, Any] = {}
    if seen.version is not None and seen.version != runtime.version:
        fields["version"] = seen.version[:60]
    if seen.models is not None and seen.models != runtime.served_models:
        fields["served_models"] = seen.models
    # Of a server that is gone nobody knows what is in memory: it starts empty.
    loaded = [] if verdict.status == RuntimeStatus.OFFLINE else seen.loaded
    if loaded is not None and has_moved(runtime.loaded_models, loaded):
        fields["loaded_models"] = loaded
    if verdict.status != runtime.status:
        now = timezone.now()
        known = recent(runtime.recent_changes)
        fields |= {
            "status": verdict.status,
            "changed_at": now,
            "recent_changes": [*known, now.isoformat()][-MOST_CHANGES_KEPT:],
        }
    return fields


def _tell(before: Runtime, fields: dict[str, Any]) -> None:
    after = Runtime.objects.select_related("node").get(pk=before.pk)
    if "status" in fields:
        logger.info(
            "runtime status changed runtime=%s from=%s to=%s error=%s",
            after.name,
            before.status,
            after.status,
            after.error_message,
        )
    if "status" in fields or _names(before) != _names(after):
        bump_policy()
    if "served_models" in fields and _contents(before) != _contents(after):
        transaction.on_commit(lambda: _list_changed(after), robust=True)
    publish(runtime_changed(server_payload(after)))


def _names(runtime: Runtime) -> list[str]:
    return sorted(model["name"] for model in runtime.served_models)


def _list_changed(runtime: Runtime) -> None:
    """Somebody pulled or removed a model: the registry looks, and a wish from the
    settings may have come within reach."""
    if runtime.kind == RuntimeKind.OLLAMA:
        send_job(
            "models_app.discover_models",
            queue=runtime.node.queue,
            life_seconds=DISCOVERY_LIFE_SECONDS,
        )
    seeding.activate_initial_model()


def _contents(runtime: Runtime) -> set[tuple[str, str]]:
    return {(m["name"], m.get("digest") or "") for m in runtime.served_models}
