"""«One click back»: the model that answered before, for a while after a switch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from runtime_app.choices import ActivationState
from runtime_app.models import Activation

OFFERED_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """`until` is when it is no longer offered."""

    model: str
    runtime: str
    runtime_name: str
    until: datetime


def former_told() -> Subquery:
    """For an annotation `former` of activations: what was active there before, lately.
    Every page draws the chip, so it costs no query of its own."""
    lately = timezone.now() - OFFERED_FOR
    rows = Activation.objects.filter(
        node=OuterRef("node"),
        state=ActivationState.FORMER,
        ended_at__gte=lately,
        activated_at__lt=OuterRef("activated_at"),
    )
    told = JSONObject(
        model="served_name", runtime="runtime__display_name", name="runtime__name"
    )
    return Subquery(rows.order_by("-ended_at").values(told=told)[:1])


def way_back(activation: Activation) -> WayBack | None:
    """To what this activation, annotated with `former`, replaced lately."""
    former = getattr(activation, "former", None)
    until = activation.activated_at + OFFERED_FOR
    if not former or until < timezone.now():
        return None
    return WayBack(
        model=former["model"],
        runtime=former["runtime"],
        runtime_name=former["name"],
        until=until,
    )
