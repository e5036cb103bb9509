"""`manage.py doctor`: a look at every part, each answered by a sentence and a remedy.

A look changes nothing. Whatever goes wrong in one is a finding too, so that the others
are still made and nobody reads a traceback.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from asgiref.sync import async_to_sync
from celery import current_app
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import RedisError

from models_app.models import Node
from runtime_app.choices import RuntimeStatus
from runtime_app.governance.credentials import undecryptable
from runtime_app.models import Runtime
from venom_site.clients import hardware, systemd
from venom_site.diagnosis import Finding, bad, database, explain, migrations, ok, warn
from venom_site.lib.logging import without_secrets

GB = 10**9
LEAST_FREE_BYTES = 5 * GB
SEEN_WITHIN = timedelta(seconds=20)
CLOCK_TOLERANCE = timedelta(seconds=5)
WIRE_ERRORS = (OSError, OperationalError, RedisError)


def broker() -> Finding:
    place = "Redis" if settings.REDIS_URL else f"the folder {settings.BROKER_DIR}"
    try:
        with current_app.connection_for_write(connect_timeout=1) as wire:
            wire.ensure_connection(max_retries=1, timeout=2)
            wire.default_channel  # noqa: B018 - opening it is the proof
    except WIRE_ERRORS as error:
        reason = without_secrets(str(error))
        return bad("broker", f"{place} takes no messages ({reason}).", _start(place))
    return ok("broker", f"Messages go through {place}.")


def _start(place: str) -> str:
    if place == "Redis":
        return "Start Redis, or check REDIS_URL."
    return "Let this user write to the data folder."


def worker() -> Finding:
    """By its own answer, since its last sign of life also needs a scheduler."""
    try:
        answers = current_app.control.inspect(timeout=1.0).ping() or {}
    except WIRE_ERRORS:
        answers = {}
    if answers:
        return ok("worker", f"{len(answers)} answered: {', '.join(sorted(answers))}.")
    if any(_is_fresh(seen) for seen in _last_seen().values()):
        return ok("worker", "It was at work a moment ago.")
    return bad("worker", "No worker answers; operations wait.", "Run: make run")


def _last_seen() -> dict[str, datetime | None]:
    return dict(Node.objects.values_list("name", "last_seen_at"))


def _is_fresh(seen: datetime | None) -> bool:
    return seen is not None and abs(timezone.now() - seen) < SEEN_WITHIN


def scheduler() -> Finding:
    """The sweep of every five seconds leaves a time on the node that ran it."""
    seen = [moment for moment in _last_seen().values() if moment is not None]
    if not seen:
        return bad("scheduler", "No scheduled job has run yet.", "Run: make run")
    age = timezone.now() - max(seen)
    if age < SEEN_WITHIN:
        return ok("scheduler", "The last scheduled job ran a moment ago.")
    sentence = f"The last scheduled job ran {round(age.total_seconds())} s ago."
    return bad("scheduler", sentence, "Run: make run")


def socket_layer() -> Finding:
    """One message out and back within two seconds."""
    try:
        async_to_sync(_round_trip)()
    except WIRE_ERRORS as error:
        reason = without_secrets(str(error)) or "no answer"
        sentence = f"Live updates do not get through ({reason}); pages ask by polling."
        return bad("socket layer", sentence, "Check REDIS_URL or the run folder.")
    return ok("socket layer", "A message went out and came back.")


async def _round_trip() -> None:
    layer = get_channel_layer()
    if layer is None:
        raise OSError("no channel layer is configured")
    word = uuid.uuid4().hex
    async with asyncio.timeout(2):
        name = await layer.new_channel()
        await layer.send(name, {"type": "doctor", "word": word})
        while (await layer.receive(name)).get("word") != word:
            continue


def folders() -> Finding:
    """By writing a file: permission bits mean nothing to some users and mounts."""
    for folder in (settings.DATA_DIR, settings.RUN_DIR, settings.DATA_DIR / "logs"):
        error = _write_error(folder)
        if error:
            sentence = f"{folder} cannot be written ({error})."
            return bad("folders", sentence, "Let this user write to it.")
    return ok("folders", f"{settings.DATA_DIR} can be written.")


def _write_error(folder: Path) -> str:
    draft = folder / f".doctor-{os.getpid()}"
    try:
        draft.write_bytes(b"ok")
        draft.unlink()
    except OSError as error:
        return error.strerror or "unknown reason"
    return ""


def disk() -> Finding:
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError as error:
        return bad("disk", f"It cannot be asked ({error.strerror}).", "Mount it.")
    sentence = f"{free / GB:.1f} GB are free for {settings.DATA_DIR}."
    if free < LEAST_FREE_BYTES:
        return warn("disk", sentence, "Models need several GB: make room.")
    return ok("disk", sentence)


def gpus() -> Finding:
    """None is normal; a driver that was updated and not loaded anew is not."""
    found = hardware.gpus()
    if fault := without_secrets(hardware.gpu_fault()):
        sentence = f"The library of the GPU's driver fails ({fault})."
        remedy = "See what nvidia-smi says; start the machine anew after an update."
        return warn("gpus", sentence, remedy)
    return ok("gpus", ", ".join(gpu.name for gpu in found) or "There is none.")


def runtimes() -> Iterator[Finding]:
    rows = list(Runtime.objects.of_profile().in_order())
    for row in rows:
        name, where = f"runtime {row.name}", f"{row.display_name} at {row.base_url}"
        if row.status == RuntimeStatus.ONLINE:
            yield ok(name, f"{where} is online with {len(row.served_models)} models.")
        else:
            reason = without_secrets(row.error_message) or "not checked yet"
            sentence = f"{where} is {row.status} ({reason})."
            yield warn(name, sentence, "Start it, or correct its address.")
    if not rows:
        sentence = f"The profile {settings.RUNTIME_PROFILE} shows no runtime."
        yield warn("runtimes", sentence, "Add a server on /runtimes/.")


def units() -> Finding:
    """Without systemd nothing is broken; who chose the user scope expects units."""
    scope = settings.ENV.VENOM_SYSTEMD_SCOPE
    missing = systemd.absence(scope)
    if not missing:
        return ok("units", f"systemd answers, scope {scope}: its units are used.")
    if scope == "user":
        remedy = "See “User scope” in scripts/systemd/README.md."
        return warn("units", missing, remedy)
    return ok("units", missing)


def keys() -> Finding:
    """Every stored secret must open with one of VENOM_ENCRYPTION_KEYS."""
    closed = undecryptable()
    if closed:
        sentence = f"The stored keys of {', '.join(closed)} do not open."
        remedy = "Give the old key in VENOM_ENCRYPTION_KEYS, or enter them again."
        return bad("keys", sentence, remedy)
    return ok("keys", "Every stored key opens.")


def clock() -> Finding:
    """Ours against the database's, and against times already written."""
    now = timezone.now()
    apart = abs(_database_time() - now)
    if apart > CLOCK_TOLERANCE:
        sentence = f"The database's clock is {round(apart.total_seconds())} s apart."
        return warn("clock", sentence, "Let both machines keep time by NTP.")
    ahead = [seen - now for seen in _last_seen().values() if seen is not None]
    if ahead and max(ahead) > CLOCK_TOLERANCE:
        sentence = (
            f"It stands {round(max(ahead).total_seconds())} s before times on record."
        )
        return warn("clock", sentence, "It was set back; let it keep time by NTP.")
    return ok("clock", "It agrees with the database.")


def _database_time() -> datetime:
    if settings.IS_SQLITE:  # runs in this process, by this clock
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


Look = Callable[[], Finding | Iterator[Finding]]
LOOKS: tuple[tuple[str, Look], ...] = (
    ("folders", folders),
    ("disk", disk),
    ("gpus", gpus),
    ("broker", broker),
    ("socket layer", socket_layer),
    ("database", database),
    ("migrations", migrations),
    ("worker", worker),
    ("scheduler", scheduler),
    ("runtimes", runtimes),
    ("units", units),
    ("keys", keys),
    ("clock", clock),
)
NEED_THE_DATABASE = frozenset(
    {"migrations", "worker", "scheduler", "runtimes", "keys", "clock"}
)


def look_everywhere(only: Collection[str] = ()) -> Iterator[Finding]:
    """The findings of `only`, or all, in order; a broken database is asked once."""
    broken = False
    for name, look in LOOKS:
        if only and name not in only:
            continue
        if broken and name in NEED_THE_DATABASE:
            continue
        for finding in _look(name, look):
            broken = broken or (
                finding.level == "bad" and name in ("database", "migrations")
            )
            yield finding


def _look(name: str, look: Look) -> list[Finding]:
    try:
        seen = look()
        return [seen] if isinstance(seen, Finding) else list(seen)
    except (DatabaseError, InterfaceError) as error:
        return [bad(name, *explain(error))]
    except Exception as error:  # noqa: BLE001 - a doctor reports, it does not fall ill
        sentence = f"It could not be looked at ({type(error).__name__})."
        return [bad(name, sentence, "Look into the log of `manage.py up`.")]
