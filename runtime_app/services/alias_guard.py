"""The alias guard: are the four names of the active model still one?

`watch()` is called with each good look of the health check and keeps what it found in
`Runtime.names`; without a change it writes nothing and asks nothing. A mismatch makes
the model's state, the gateway's refusal and, at the second look, an alert. `repair()`
is the one action that helps.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app.models import RequestRecord
from models_app.choices import OperationStatus, OperationType
from models_app.models import Operation
from models_app.services.discovery import send_discovery
from models_app.services.targets import runtimes_lock
from runtime_app.choices import AlertSeverity, ManagedBy, RuntimeKind
from runtime_app.events import runtime_changed
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.schemas import server_payload
from runtime_app.services.activate import request_activation
from runtime_app.services.alerts import (
    ALIAS_MISMATCH,
    Trouble,
    close_by_recovery,
    key_of,
    raise_alert,
)
from runtime_app.services.names import (
    ACTIVATE,
    CHOOSE,
    REGISTER,
    TELL_CLIENTS,
    NamesVerdict,
    compare,
)
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict
from venom_site.lib.events import publish

REQUESTED_EVERY_SECONDS = 30
ALERT_AT_LOOK = 2
MOST_KEPT = 20  # published names, for people


class NothingToRepair(Conflict):
    """All names agree, or only a person can put it right; the sentence says which."""

    code = "nothing_to_repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What our own rows say of the model that a runtime shall publish."""

    configured: str = ""
    registered: str = ""
    folder: str = ""


def known_of(runtime: Runtime) -> Known:
    """From what `RuntimeQuerySet.with_names` brought along, else by one query."""
    if not hasattr(runtime, "configured_name"):
        rows = Runtime.objects.filter(pk=runtime.pk).with_names()
        runtime = rows.first() or runtime
    configured = getattr(runtime, "configured_name", None)
    if not configured:
        return Known(configured=str(runtime.launch.get("served_name", "")))
    return Known(
        configured=configured,
        registered=getattr(runtime, "registered_name", None) or "",
        folder=getattr(runtime, "registered_path", None) or "",
    )


def judged(
    runtime: Runtime, known: Known, listed: list[dict[str, Any]], requested: str = ""
) -> NamesVerdict:
    """The verdict on what the server lists."""
    return compare(
        known.configured,
        known.registered,
        [entry["name"] for entry in listed],
        requested,
        folder=known.folder,
        roots={entry["name"]: entry.get("root") or "" for entry in listed},
        can_restart=_can_restart(runtime),
    )


def _can_restart(runtime: Runtime) -> bool:
    """Whether a start decides what it is called: Ollama knows its names by itself."""
    is_single = runtime.kind == RuntimeKind.VLLM
    return is_single and runtime.managed_by != ManagedBy.EXTERNAL


def watch(
    runtime: Runtime, listed: list[dict[str, Any]] | None, *, since: datetime
) -> None:
    """Compare and keep; `listed` is None where the look brought no list: then what was
    known stays. A mismatch seen while its server was being switched counts nothing:
    the look began at `since`, and row and list may be of two different times."""
    known = known_of(runtime)
    if listed is None:
        if _configured(runtime) != known.configured:  # it was about another model
            _keep(runtime, {})
        return
    requested = _requested_on(runtime) if known.configured else ""
    verdict = judged(runtime, known, listed, requested)
    if verdict.is_mismatch and _has_been_changed(runtime, since):
        return
    _keep(runtime, _as_kept(runtime, known, listed, requested, verdict))


def _configured(runtime: Runtime) -> str:
    names = runtime.names if isinstance(runtime.names, dict) else {}
    return str(names.get("configured", ""))


def forget(runtime: Runtime) -> None:
    """An activation has just proved the name: an older verdict counts no more."""
    Runtime.objects.filter(pk=runtime.pk).update(names={})
    _close_alerts(runtime)


def _has_been_changed(runtime: Runtime, since: datetime) -> bool:
    """A trial changes nothing, and whoever waits has not begun."""
    work = Operation.objects.filter(lock_key=runtimes_lock(runtime.node))
    work = work.exclude(operation_type=OperationType.ACCEPT)
    late = Q(status=OperationStatus.IN_PROGRESS) | Q(completed_at__gte=since)
    return work.filter(late).exists()


def _as_kept(
    runtime: Runtime,
    known: Known,
    listed: list[dict[str, Any]],
    requested: str,
    verdict: NamesVerdict,
) -> dict[str, Any]:
    if not known.configured:
        return {}
    before = runtime.names if isinstance(runtime.names, dict) else {}
    looks = before.get("looks", 0) if _same_trouble(before, known, verdict) else 0
    return {
        "v": 1,
        **asdict(known),
        "published": [entry["name"] for entry in listed[:MOST_KEPT]],
        "requested": requested,
        **asdict(verdict),
        "differing": list(verdict.differing),
        "ok": verdict.ok,
        "is_mismatch": verdict.is_mismatch,
        "looks": min(looks + 1, ALERT_AT_LOOK) if verdict.is_mismatch else 0,
    }


def _same_trouble(before: dict[str, Any], known: Known, now: NamesVerdict) -> bool:
    is_same = before.get("configured") == known.configured
    return is_same and before.get("differing") == list(now.differing)


def _keep(runtime: Runtime, names: dict[str, Any]) -> None:
    before = runtime.names
    if names == before:
        return
    with transaction.atomic():
        same = Runtime.objects.filter(pk=runtime.pk, base_url=runtime.base_url)
        if not same.update(names=names):
            return
        if _told(names) != _told(before):
            bump_policy()
            row = Runtime.objects.select_related("node").get(pk=runtime.pk)
            publish(runtime_changed(server_payload(row)))
        if names.get("looks", 0) == ALERT_AT_LOOK != before.get("looks"):
            raise_alert(_trouble(runtime, names))
        elif before.get("is_mismatch") and not names.get("is_mismatch"):
            _close_alerts(runtime)


def _told(names: dict[str, Any]) -> tuple[Any, ...]:
    """What gateways and pages go by."""
    shown = ("configured", "is_mismatch", "differing", "sentence")
    return tuple(names.get(name) for name in shown) if names else ()


def _trouble(runtime: Runtime, names: dict[str, Any]) -> Trouble:
    return Trouble(
        code=ALIAS_MISMATCH,
        message=names["sentence"],
        provider=runtime.provider,
        runtime=runtime.name,
        model=names["configured"],
        endpoint=runtime.openai_url,
        node=runtime.node.name,
        severity=AlertSeverity.CRITICAL,
    )


def _close_alerts(runtime: Runtime) -> None:
    key = key_of(ALIAS_MISMATCH, runtime.openai_url, _configured(runtime))
    close_by_recovery(key, answered_at=timezone.now())


# What clients asked for last: a look into the history, at most every 30 s

_asked: dict[UUID, tuple[float, str]] = {}


def _requested_on(runtime: Runtime) -> str:
    asked_at, name = _asked.get(runtime.pk, (float("-inf"), ""))
    if time.monotonic() - asked_at < REQUESTED_EVERY_SECONDS:
        return name
    since = getattr(runtime, "configured_since", None)
    rows = RequestRecord.objects.asked_on(runtime.name, since)
    name = rows.values_list("requested_model", flat=True).first() or ""
    name = name.removeprefix(f"{runtime.name}/")
    _asked[runtime.pk] = (time.monotonic(), name)
    return name


# The one action that helps


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was begun; `operation` is None where there is nothing to wait for."""

    message: str
    operation: Operation | None = None


def repair(runtime: Runtime, *, actor: Principal) -> Repair:
    """Carry out what the last comparison advises. Raises `NothingToRepair`, and what
    an activation refuses."""
    names = runtime.names if isinstance(runtime.names, dict) else {}
    action, target = names.get("repair"), str(names.get("target", ""))
    if action == ACTIVATE and target:
        operation = request_activation(runtime.name, target, actor=actor)
        return Repair(message=operation.title, operation=operation)
    if action == REGISTER:
        send_discovery(runtime.node.name)
        return Repair(message=_("The stores of this machine are looked into again."))
    raise NothingToRepair(_remedy(runtime, names), runtime=runtime.name)


def _remedy(runtime: Runtime, names: dict[str, Any]) -> str:
    """What a person can do where a program cannot."""
    words = {
        "runtime": runtime.display_name,
        "model": names.get("configured", ""),
        "asked": names.get("requested", ""),
        "target": names.get("target", ""),
    }
    if names.get("repair") == CHOOSE:
        told = _(
            "%(runtime)s does not publish “%(model)s”, and nothing it lists is the "
            "same model. Activate one that it lists, or start it with that name."
        )
    elif names.get("repair") == TELL_CLIENTS:
        told = _(
            "Clients ask %(runtime)s for “%(asked)s”. Let them ask for “%(target)s”: "
            "there is nothing to repair here."
        )
    else:
        told = _("The names of %(runtime)s agree.")
    return told % words
