"""Answering a repeated POST with the first answer, for 24 hours per actor.

The row is inserted before the work, so of two calls at once one works and the other
is told that the first is still being answered. A 5xx is forgotten: it may be retried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.models import IdempotentAnswer
from venom_site.lib.access import Principal
from venom_site.lib.errors import BadRequest, Conflict, VenomError

KEPT = timedelta(hours=24)
LONGEST_KEY = 200
_KEPT_HEADERS = ("Content-Type", "X-Venom-Wait", "Location")


class IdempotencyKeyReused(VenomError):
    code = "idempotency_key_reused"
    http_status = 422


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"


def answer_once(
    request: HttpRequest,
    principal: Principal,
    key: str,
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> HttpResponseBase:
    """The kept answer, or the view's answer, which is then kept."""
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise BadRequest(
            _("Idempotency-Key must have 1 to %(most)s printable characters.")
            % {"most": LONGEST_KEY}
        )
    actor = f"{principal.kind}:{principal.identifier}"
    fingerprint = _fingerprint(request)
    row = _begin(actor, key, fingerprint)
    if row is None:
        return _replay(actor, key, fingerprint)
    try:
        response = get_response(request)
    except BaseException:
        row.delete()
        raise
    _keep(row, response)
    return response


def _fingerprint(request: HttpRequest) -> str:
    whole = request.get_full_path().encode() + b"\0" + request.body
    return hashlib.sha256(whole).hexdigest()


def _begin(actor: str, key: str, fingerprint: str) -> IdempotentAnswer | None:
    old = timezone.now() - KEPT
    IdempotentAnswer.objects.filter(actor=actor, key=key, created_at__lt=old).delete()
    try:
        with transaction.atomic():
            return IdempotentAnswer.objects.create(
                actor=actor, key=key, fingerprint=fingerprint
            )
    except IntegrityError:
        return None


def _replay(actor: str, key: str, fingerprint: str) -> HttpResponse:
    row = IdempotentAnswer.objects.filter(actor=actor, key=key).first()
    if row is None or row.status is None:
        raise IdempotencyInProgress(
            _("The first call with this Idempotency-Key is still being answered.")
        )
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused(
            _("This Idempotency-Key was used for another path or body.")
        )
    headers = {**row.headers, "Idempotent-Replay": "true"}
    return HttpResponse(row.body, status=row.status, headers=headers)


def _keep(row: IdempotentAnswer, response: HttpResponseBase) -> None:
    if response.status_code >= 500 or not isinstance(response, HttpResponse):
        row.delete()
        return
    row.status = response.status_code
    row.body = response.content.decode()
    row.headers = {
        name: response[name] for name in _KEPT_HEADERS if response.has_header(name)
    }
    row.save(update_fields=["status", "body", "headers"])


def forget_expired() -> int:
    """Delete answers older than a day; called by the housekeeping job."""
    old = IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - KEPT)
    return old.delete()[0]
