"""`/readyz`: may this process be given requests? Open to all, so it names no places.

Answers within two seconds even while the database hangs: one thread looks, and a
request that finds the thread still waiting says so instead of starting another.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from venom_site.diagnosis import unapplied
from venom_site.lib.access import open_to_all
from venom_site.lib.redis_server import RedisAway, redis_server

DEADLINE_SECONDS = 1.5
REDIS_SECONDS = 0.5
_looking = threading.Lock()

Checks = dict[str, dict[str, Any]]


@open_to_all
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    checks = _within_deadline()
    is_ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if is_ready else "not_ready", "checks": checks}
    return JsonResponse(body, status=200 if is_ready else 503)


def _within_deadline() -> Checks:
    late = {"database": _check("The database does not answer in time.")}
    if not _looking.acquire(timeout=DEADLINE_SECONDS):
        return late
    found: list[Checks] = []
    thread = threading.Thread(target=_look, args=(found,), name="readyz", daemon=True)
    thread.start()
    thread.join(DEADLINE_SECONDS)
    return found[0] if found else late


def _look(found: list[Checks]) -> None:
    try:
        found.append(_checks())
    except (DatabaseError, InterfaceError):
        found.append({"database": _check("The database does not answer.")})
    finally:
        connections.close_all()
        _looking.release()


def _check(complaint: str = "") -> dict[str, Any]:
    return {"ok": not complaint} | ({"detail": complaint} if complaint else {})


def _checks() -> Checks:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    checks = {"database": _check(), "migrations": _check(_migrations())}
    return checks | ({"redis": _check(_redis())} if settings.REDIS_URL else {})


def _migrations() -> str:
    try:
        return _all_applied()
    except LookupError as error:
        return str(error)


@lru_cache(maxsize=1)
def _all_applied() -> str:
    """Only a good answer is kept: what is applied stays, and looking costs 50 ms."""
    missing = unapplied()
    if missing:
        raise LookupError(f"{len(missing)} changes of the tables are missing.")
    return ""


def _redis() -> str:
    try:
        with redis_server(seconds=REDIS_SECONDS) as server:
            server.ping()
    except RedisAway:
        return "Redis does not answer."
    return ""
