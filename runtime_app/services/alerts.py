"""Alerts as the product and people change them: raise, silence, close.

Raised by the gateway and by activations, closed by a good answer, by the job of
`monitoring/alerts.py` or by a person. Every change is one conditional UPDATE, so two
processes may see the same trouble at once. Bumps the policy when one opens or closes:
the gateway's snapshot knows the open ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app import audit
from runtime_app.choices import AlertSeverity, AlertState
from runtime_app.events import alert_changed, llm_provider_error
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Alert
from runtime_app.querysets import AlertQuerySet
from runtime_app.schemas import alert_payload
from venom_site.lib.access import SYSTEM, Principal
from venom_site.lib.errors import Conflict, NotFound
from venom_site.lib.events import publish

LLM_PROVIDER_ERROR = "llm_provider_error"
ACTIVATION_FAILED = "activation_failed"
ALIAS_MISMATCH = "alias_mismatch"
MEMORY_HIGH = "memory_high"


class AlertClosed(Conflict):
    """It has ended: there is nothing left to silence."""

    code = "alert_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What was seen, `times` times. `endpoint` without credentials; `message` is an
    English sentence, kept as it is. `subject` is what the trouble is about where that
    is no endpoint."""

    code: str
    message: str
    provider: str = ""
    runtime: str = ""
    model: str = ""
    endpoint: str = ""
    node: str = ""
    error_class: str = ""
    http_status: int | None = None
    request_id: str = ""
    severity: str = AlertSeverity.CRITICAL
    times: int = 1
    subject: str = ""

    @property
    def key(self) -> str:
        return key_of(self.code, self.subject or self.endpoint, self.model)


def key_of(code: str, endpoint: str, model: str) -> str:
    """What is one trouble, as the rows and the gateway's snapshot name it."""
    return f"{code}|{endpoint}|{model}"


def raise_alert(trouble: Trouble) -> Alert:
    """The open alert of this trouble: a new one, or the one that counts repeats."""
    with transaction.atomic():
        if not _repeat(trouble) and not _open(trouble):
            _repeat(trouble)  # another process opened it between the two
        alert = Alert.objects.open().get(key=trouble.key)
        _tell(alert)
        if alert.code == LLM_PROVIDER_ERROR:
            publish(llm_provider_error(alert_payload(alert)))
    return alert


def note_still_there(alert: Alert, message: str) -> None:
    """Its condition goes on: the time and the figures move, nobody is told."""
    rows = Alert.objects.open().filter(pk=alert.pk)
    rows.update(last_seen_at=timezone.now(), message=message[:500])


def _repeat(trouble: Trouble) -> bool:
    rows = Alert.objects.open().filter(key=trouble.key)
    return bool(
        rows.update(
            count=F("count") + trouble.times,
            last_seen_at=timezone.now(),
            error_class=trouble.error_class,
            http_status=trouble.http_status,
            message=trouble.message[:500],
            request_id=trouble.request_id,
        )
    )


def _open(trouble: Trouble) -> bool:
    now = timezone.now()
    try:
        with transaction.atomic():
            Alert.objects.create(
                key=trouble.key,
                code=trouble.code,
                severity=trouble.severity,
                provider=trouble.provider,
                runtime=trouble.runtime,
                model=trouble.model,
                endpoint=trouble.endpoint,
                node=trouble.node,
                error_class=trouble.error_class,
                http_status=trouble.http_status,
                message=trouble.message[:500],
                request_id=trouble.request_id,
                count=trouble.times,
                first_seen_at=now,
                last_seen_at=now,
            )
            bump_policy()
    except IntegrityError:
        return False
    return True


def close_by_recovery(key: str, *, answered_at: datetime) -> bool:
    """After a good answer: closes what has not been seen again since then."""
    rows = Alert.objects.open().filter(key=key, last_seen_at__lt=answered_at)
    alert = rows.first()
    return alert is not None and close_cleared(alert)


def close_cleared(alert: Alert) -> bool:
    """Its condition is gone. False when it was seen again meanwhile, or is closed."""
    same = Alert.objects.filter(last_seen_at=alert.last_seen_at)
    return _close(same, alert.pk, SYSTEM)


def close_alert(identifier: str | UUID, *, actor: Principal) -> Alert:
    """By a person or program; one that is closed stays as it is."""
    alert = get_alert(identifier)
    with transaction.atomic():
        if _close(Alert.objects.all(), alert.pk, actor):
            audit.record(
                actor, "alert.close", "alert", alert.pk, object_name=str(alert)
            )
    return get_alert(alert.pk)


def _close(rows: AlertQuerySet, pk: UUID, actor: Principal) -> bool:
    with transaction.atomic():
        closed = (
            rows.open()
            .filter(pk=pk)
            .update(
                state=AlertState.CLOSED,
                closed_at=timezone.now(),
                closed_by=actor.name[:150],
            )
        )
        if closed:
            bump_policy()
            _tell(get_alert(pk))
    return bool(closed)


def silence_alert(
    identifier: str | UUID, *, hours: float, reason: str, actor: Principal
) -> Alert:
    """No banner shows it for so long; it goes on counting and closes as ever."""
    alert = get_alert(identifier)
    until = timezone.now() + timedelta(hours=hours)
    with transaction.atomic():
        silenced = (
            Alert.objects.open()
            .filter(pk=alert.pk)
            .update(
                silenced_until=until,
                silenced_by=actor.name[:150],
                silence_reason=reason[:200],
            )
        )
        if not silenced:
            raise AlertClosed(_("This alert is closed already."))
        audit.record(
            actor,
            "alert.silence",
            "alert",
            alert.pk,
            object_name=str(alert),
            after={"silenced_until": until.isoformat()},
            reason=reason,
        )
        alert = get_alert(alert.pk)
        _tell(alert)
    return alert


def end_silence(alert: Alert) -> None:
    """Its time has run out: pages show it again. Harmless when done twice."""
    rows = Alert.objects.open().filter(pk=alert.pk, silenced_until=alert.silenced_until)
    with transaction.atomic():
        if rows.update(silenced_until=None):
            _tell(get_alert(alert.pk))


def get_alert(identifier: str | UUID) -> Alert:
    """Raises `NotFound`, also for an id that cannot exist."""
    try:
        pk = UUID(str(identifier))
    except ValueError:
        raise NotFound(_("There is no such alert.")) from None
    alert = Alert.objects.filter(pk=pk).first()
    if alert is None:
        raise NotFound(_("There is no such alert."))
    return alert


def _tell(alert: Alert) -> None:
    publish(alert_changed(alert_payload(alert)))
