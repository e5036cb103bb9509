"""Our own parts and how they are: database, broker, worker, web, socket layer.

Read by GET `/system/services` and `/system/status`. Each part is looked at with a
short limit; a part that is away is a status here, never an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from models_app.models import Node
from runtime_app.choices import RuntimeStatus
from runtime_app.models import Runtime
from runtime_app.schemas import mib
from venom_site import VERSION
from venom_site.clients import hardware
from venom_site.lib.ids import uuid7
from venom_site.lib.units import iso

BOOT_ID = str(uuid7())  # of this web process: a restart makes a new one
STARTED_AT = timezone.now()
WORKER_SILENT = timedelta(seconds=20)


def status() -> dict[str, Any]:
    return {
        "boot_id": BOOT_ID,
        "started_at": iso(STARTED_AT),
        "version": VERSION,
        "profile": settings.RUNTIME_PROFILE,
        "node": settings.NODE,
    }


def services() -> list[dict[str, Any]]:
    """Our own parts, then the runtimes of the profile."""
    own = [_web(), _asked("database", "database", _ask_database), _broker()]
    rows = Runtime.objects.of_profile().in_order()
    return [*own, _socket_layer(), *_workers(), *map(_runtime, rows)]


def _part(name: str, kind: str, state: str, **known: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "status": state,
        "latency_ms": None,
        "last_check": iso(timezone.now()),
        "memory_mb": None,
        "uptime_seconds": None,
    } | known


def _web() -> dict[str, Any]:
    return _part(
        "web",
        "web",
        RuntimeStatus.ONLINE,
        memory_mb=mib(hardware.own_memory_bytes()),
        uptime_seconds=round(hardware.own_uptime_seconds()),
    )


def _asked(name: str, kind: str, ask: Callable[[], None]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        ask()
    except (DatabaseError, InterfaceError, OperationalError, OSError):
        return _part(name, kind, RuntimeStatus.OFFLINE)
    latency_ms = round((time.perf_counter() - began) * 1000, 1)
    return _part(name, kind, RuntimeStatus.ONLINE, latency_ms=latency_ms)


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> dict[str, Any]:
    return _asked("broker", "broker", _ask_broker)


def _ask_broker() -> None:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)


def _socket_layer() -> dict[str, Any]:
    """On Redis it lives and dies with the broker; else it needs no other program."""
    is_there = get_channel_layer() is not None
    state = RuntimeStatus.ONLINE if is_there else RuntimeStatus.OFFLINE
    return _part("socket layer", "channels", state)


def _workers() -> list[dict[str, Any]]:
    return [_worker(node) for node in Node.objects.all()]


def _worker(node: Node) -> dict[str, Any]:
    """Each sweep marks its node as seen, which also proves beat and broker."""
    seen = node.last_seen_at
    state = RuntimeStatus.UNKNOWN
    if seen is not None:
        is_live = abs(timezone.now() - seen) < WORKER_SILENT
        state = RuntimeStatus.ONLINE if is_live else RuntimeStatus.OFFLINE
    return _part(f"worker {node.name}", "worker", state, last_check=iso(seen))


def _runtime(row: Runtime) -> dict[str, Any]:
    return _part(
        row.name,
        "runtime",
        row.status,
        latency_ms=row.latency_ms,
        last_check=iso(row.last_check_at),
        memory_mb=mib(row.memory_bytes),
        uptime_seconds=row.uptime_seconds,
    )
