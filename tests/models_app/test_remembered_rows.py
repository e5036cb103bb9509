"""Rows of the model list are drawn once, and anew as soon as one of them changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import InstalledModel
from models_app.templatetags import model_rows
from runtime_app.models import Activation, Runtime
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory
from tests.models_app.test_models_pages import row_of

pytestmark = pytest.mark.django_db
NAME = "gemma3:4b"


@pytest.fixture
def model():
    return InstalledModelFactory(name=NAME, size_bytes=3_300_000_000)


@pytest.fixture
def row(page_client, model):
    """row("Operator", "pl") → how that person sees the model's row now."""

    clients = {}

    def seen(group: str = "Operator", language: str = "en") -> str:
        client = clients.get(group) or clients.setdefault(group, page_client(group))
        page = client.get("/models/", headers={"Accept-Language": language})
        return row_of(page.content.decode(), NAME)

    return seen


@pytest.fixture
def drawings(monkeypatch):
    """How often a row was drawn."""
    drawn = []
    real = model_rows.render_to_string

    def counted(*args):
        drawn.append(args)
        return real(*args)

    monkeypatch.setattr(model_rows, "render_to_string", counted)
    model_rows._drawn.cache_clear()
    return drawn


def test_a_row_is_drawn_once_while_nothing_changes(row, drawings):
    assert row() == row() == row()
    assert len(drawings) == 1


def set_column(**columns):
    return lambda model: InstalledModel.objects.filter(pk=model.pk).update(**columns)


def activate(model):
    Activation.objects.create(
        node=model.node,
        runtime=RuntimeFactory(online=True),
        installed_model=model,
        model_name=NAME,
        served_name=NAME,
        state="active",
        activated_by="anna",
    )


def fetch_again(model):
    OperationFactory(
        node=model.node,
        operation_type="install",
        provider=model.provider,
        model_name=NAME,
        running=True,
    )


def hold_in_memory(_model):
    Runtime.objects.update(
        status="online", loaded_models=[{"name": NAME, "expires_at": None}]
    )


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (set_column(size_bytes=8_000_000_000), "8.0 GB"),
        (set_column(family="qwen3"), "qwen3"),
        (set_column(quantization="Q8_0"), "Q8_0"),
        (set_column(requests_day=12), "12"),
        (set_column(pinned=True), "pinned"),
        (set_column(license="Apache 2.0"), "Apache 2.0"),
        (set_column(is_remote=True), "cloud"),
        (set_column(status="broken", error="cut short"), "cut short"),
        (set_column(last_used_at=timezone.now() - timedelta(hours=3)), "3 h ago"),
        (activate, "Active"),
        (hold_in_memory, "Loaded"),
        (fetch_again, "Watch"),
    ],
)
def test_what_changes_is_seen_at_once(row, model, change, shown):
    RuntimeFactory(online=True)
    assert shown not in row()
    change(model)
    assert shown in row()


def test_who_may_not_operate_never_gets_the_row_of_one_who_may(row):
    assert "Activate" in row("Operator")
    assert "Activate" not in row("Viewer")
    assert "Activate" in row("Operator")


def test_each_language_has_its_own(row):
    assert "not used yet" in row()
    assert "not used yet" not in row(language="pl")
    assert "not used yet" in row()
