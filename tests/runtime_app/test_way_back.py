"""«One click back»: offered for a quarter of an hour after a switch, then no more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import Activation
from runtime_app.services.active import chip
from tests.factories import RuntimeFactory

pytestmark = pytest.mark.django_db


def switched(*, minutes: float):
    """gemma3:4b gave way to phi3:mini that long ago."""
    runtime, now = RuntimeFactory(online=True), timezone.now()
    at = now - timedelta(minutes=minutes)
    kept = {"node": runtime.node, "runtime": runtime}
    for model, since, end in (
        ("gemma3:4b", at - timedelta(hours=1), at),
        ("phi3:mini", at, None),
    ):
        Activation.objects.create(
            model_name=model,
            served_name=model,
            state="former" if end else "active",
            activated_at=since,
            ended_at=end,
            **kept,
        )
    return runtime


def test_the_model_before_the_switch_is_one_click_away(page_client):
    switched(minutes=2)

    back = chip().back
    page = page_client("Operator").get("/runtimes/").content.decode()

    assert back is not None
    assert (back.model, back.runtime_name) == ("gemma3:4b", "ollama")
    assert 600 < (back.until - timezone.now()).total_seconds() < 800
    assert "Back to gemma3:4b" in page
    assert '<input type="hidden" name="model" value="gemma3:4b">' in page
    assert "Back to gemma3:4b" in page_client("Admin").get("/models/").content.decode()


def test_after_a_quarter_of_an_hour_nothing_is_offered(page_client):
    switched(minutes=16)
    assert chip().back is None
    assert "way-back" not in page_client("Operator").get("/runtimes/").content.decode()


def test_who_may_not_switch_is_not_offered_it(page_client):
    switched(minutes=2)
    assert "way-back" not in page_client("Viewer").get("/runtimes/").content.decode()


def test_the_first_model_of_all_has_no_way_back():
    switched(minutes=2)
    Activation.objects.filter(state="former").delete()
    assert chip().back is None


def test_with_nothing_active_there_is_no_way_back():
    assert chip().back is None
