"""Figures in rows: what a provider tells is kept, what a runtime shows beside it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import InstalledModel
from models_app.providers.figures import ModelFigures
from models_app.services import discovery
from models_app.services.figures import figures_of, measured_of, stored
from models_app.services.fit import kv_bytes
from models_app.services.measured import InMemory, note_measured
from tests.factories import InstalledModelFactory, NodeFactory

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.practice_store")

GIB = 1 << 30


def seen(name="gemma3:4b", size=5 * GIB, context=8192):
    return InMemory(name=name, size_bytes=size, context_length=context)


def test_a_found_model_keeps_its_figures(store, data_folder):
    discovery.discover()

    model = InstalledModel.objects.get(name="gemma3:4b")
    figures = figures_of(model)
    assert (figures.layers, figures.kv_heads, figures.key_length) == (28, (8,), 128)
    assert figures.weights_bytes == model.size_bytes
    assert figures.quantization == "Q4_K_M"
    assert kv_bytes(figures, 8192) > 0


def test_a_row_of_a_release_without_figures_is_described_once_more(store, data_folder):
    discovery.discover()
    past = timezone.now() - timedelta(minutes=10)
    InstalledModel.objects.update(figures={}, seen_at=past)
    asked = store.requests["/api/show"]

    discovery.discover()
    InstalledModel.objects.update(seen_at=past)
    discovery.discover()

    assert all(map(figures_of, InstalledModel.objects.all()))
    assert store.requests["/api/show"] == asked + 2


def test_other_bytes_have_other_figures(store, data_folder):
    discovery.discover()
    InstalledModel.objects.update(
        digest="0" * 64,
        described_digest="0" * 64,
        seen_at=timezone.now() - timedelta(minutes=10),
        measured_bytes=GIB,
        measured_context=4096,
        figures={"weights_bytes": 1, "layers": 99},
    )
    discovery.discover()

    model = InstalledModel.objects.get(name="gemma3:4b")
    assert measured_of(model) is None
    assert figures_of(model).layers == 28


def test_figures_come_back_as_they_went():
    figures = ModelFigures(
        weights_bytes=7, layers=3, kv_heads=(8, 0, 8), context_length=4096, dtype="F16"
    )
    model = InstalledModelFactory(figures=stored(figures))
    model.refresh_from_db()
    assert figures_of(model) == figures


@pytest.mark.parametrize("held", [{}, [], None, "text"])
def test_what_nobody_can_read_is_no_figures(held):
    assert figures_of(InstalledModel(name="a", figures=held)) is None


def test_a_field_of_a_later_release_is_left_out():
    held = {"weights_bytes": 5, "colour": "green"}
    assert figures_of(InstalledModel(figures=held)) == ModelFigures(weights_bytes=5)


def test_what_was_seen_in_memory_is_kept(django_assert_num_queries):
    model = InstalledModelFactory(name="gemma3:4b")
    note_measured(model.node_id, "ollama", [seen("GEMMA3:4B")])

    model.refresh_from_db()
    assert measured_of(model) == (5 * GIB, 8192)
    assert model.measured_at is not None


@pytest.mark.parametrize(
    ("size", "context", "is_news"),
    [
        (5 * GIB, 8192, False),
        (int(5.04 * GIB), 8192, False),
        (int(5.06 * GIB), 8192, True),
        (int(4.9 * GIB), 8192, True),
        (5 * GIB, 16_384, True),
    ],
)
def test_only_news_is_written(size, context, is_news, django_assert_num_queries):
    model = InstalledModelFactory(
        name="gemma3:4b", measured_bytes=5 * GIB, measured_context=8192
    )
    with django_assert_num_queries(2 if is_news else 1):
        note_measured(model.node_id, "ollama", [seen(size=size, context=context)])
    model.refresh_from_db()
    assert (measured_of(model) == (size, context)) == (is_news or size == 5 * GIB)


def test_others_of_the_same_name_are_not_touched():
    here = InstalledModelFactory(name="gemma3:4b")
    there = InstalledModelFactory(name="gemma3:4b", node=NodeFactory(name="shed"))
    other = InstalledModelFactory(name="gemma3:4b", provider="huggingface")
    note_measured(here.node_id, "ollama", [seen(), seen("unknown:1b")])
    for row in (there, other):
        row.refresh_from_db()
        assert measured_of(row) is None


@pytest.mark.parametrize(("size", "context"), [(0, 8192), (GIB, 0), (2**70, 1)])
def test_impossible_numbers_are_not_kept(size, context, django_assert_num_queries):
    model = InstalledModelFactory(name="gemma3:4b")
    with django_assert_num_queries(0):
        note_measured(model.node_id, "ollama", [seen(size=size, context=context)])
