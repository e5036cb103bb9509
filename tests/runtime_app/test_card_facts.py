"""Figures of a card: a server's share of memory, and a day of latency."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import RuntimeSample
from runtime_app.views.card_facts import Machine, bars_of, latencies
from runtime_app.views.card_shapes import MemoryBar
from tests.factories import NodeFactory, RuntimeFactory
from venom_site.clients.hardware import Filled, Gpu
from venom_site.templatetags.charts import memory_bar

GIB = 2**30
GPU = Gpu(0, "Practice", 6 * GIB, 12 * GIB, 10)
MACHINE = Machine(Filled(8 * GIB, 24 * GIB), [])


@pytest.mark.django_db
def test_what_the_processes_hold_is_shown_against_the_machine():
    row = RuntimeFactory(memory_bytes=2 * GIB, vram_bytes=5 * GIB)

    ram, vram = bars_of(row, MACHINE._replace(gpus=[GPU]))

    assert (ram.own_bytes, ram.used_bytes, ram.total_bytes) == (
        2 * GIB,
        8 * GIB,
        24 * GIB,
    )
    assert (vram.own_bytes, vram.used_bytes) == (5 * GIB, 6 * GIB)
    assert ram.mark_percent == 85
    assert not ram.is_high


@pytest.mark.django_db
def test_a_server_whose_processes_are_not_seen_tells_what_its_models_take():
    held = [{"name": "m", "size_bytes": 4 * GIB, "size_vram_bytes": 3 * GIB}]
    row = RuntimeFactory(loaded_models=held)

    [ram] = bars_of(row, MACHINE)

    assert ram.own_bytes == GIB


@pytest.mark.django_db
@pytest.mark.parametrize("known", [{}, {"memory_bytes": 1, "node": "elsewhere"}])
def test_nothing_known_or_another_machine_is_no_bar(known):
    if node := known.pop("node", None):
        known["node"] = NodeFactory(name=node)
    assert bars_of(RuntimeFactory(**known), MACHINE) == []


def test_a_bar_says_its_figures_in_words_and_marks_the_alert():
    drawn = memory_bar(MemoryBar("RAM", 8 * GIB, 24 * GIB, 2 * GIB, 85))

    assert "2" in drawn["words"]
    assert 'x="85"' in drawn["svg"]
    assert 'width="33.3"' in drawn["svg"]
    assert 'width="8.3"' in drawn["svg"]
    assert "style" not in drawn["svg"]


def test_a_bar_above_its_mark_is_high():
    assert MemoryBar("RAM", 23 * GIB, 24 * GIB, None, 85).is_high


@pytest.mark.django_db
def test_latency_is_a_mean_by_hour_with_gaps_where_nothing_answered():
    row, now = RuntimeFactory(), timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    for hours, latency in ((0, 10), (2, 20), (2.001, 40), (30, 999), (3, None)):
        at = hour - timedelta(hours=hours) + timedelta(minutes=1)
        RuntimeSample.objects.create(
            runtime=row, at=at, status="online", latency_ms=latency
        )

    found = latencies([row])[row.pk]

    assert len(found.hours) == 24
    assert found.hours[-4:] == [None, 30, None, 10]
    assert "10 ms to 30 ms" in found.words


@pytest.mark.django_db
def test_a_server_without_samples_has_no_line():
    assert latencies([RuntimeFactory()]) == {}
