"""`bump_policy()`: say that something the gateway's snapshot reflects has changed."""

from __future__ import annotations

from django.db.models import F

from runtime_app.models import PolicyVersion
from venom_site.lib.events import POLICY_CHANGED, Event, publish


def bump_policy() -> None:
    """Raise the number in the caller's transaction; gateways are told and reload at
    once, and look for themselves twice a second."""
    if not PolicyVersion.objects.update(number=F("number") + 1):
        PolicyVersion.objects.get_or_create(pk=1, defaults={"number": 1})
    publish(Event(type=POLICY_CHANGED))


def policy_number() -> int:
    return PolicyVersion.objects.values_list("number", flat=True).first() or 0
