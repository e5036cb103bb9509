"""Counting use from the history, and what models take of the machine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from history_app.models import RequestRecord
from models_app.services import use
from tests.factories import InstalledModelFactory, NodeFactory
from tests.factories.history import RequestRecordFactory

pytestmark = pytest.mark.django_db


def asked(model="gemma3:4b", *, ago=timedelta(hours=1), **fields):
    record = RequestRecordFactory(llm_model=model, node="test-node", **fields)
    at = timezone.now() - ago
    RequestRecord.objects.filter(pk=record.pk).update(created_at=at)
    return at


def counted(model):
    use.count_use()
    model.refresh_from_db()
    return model.requests_day, model.last_used_at


def test_requests_of_a_day_and_the_last_use_are_counted():
    model = InstalledModelFactory(name="gemma3:4b")
    asked(ago=timedelta(hours=30))
    asked(ago=timedelta(hours=5))
    last = asked("GEMMA3:4B", ago=timedelta(minutes=2), failed=True)

    assert counted(model) == (2, last)


def test_requests_to_others_do_not_count():
    model = InstalledModelFactory(name="gemma3:4b")
    asked("gemma3:27b")
    asked(llm_provider="openai")
    RequestRecordFactory(llm_model="gemma3:4b", node="shed")
    RequestRecordFactory(llm_model="", node="test-node")

    assert counted(model) == (0, None)


def test_every_node_counts_its_own():
    here = InstalledModelFactory(name="gemma3:4b")
    there = InstalledModelFactory(name="gemma3:4b", node=NodeFactory(name="shed"))
    RequestRecordFactory(llm_model="gemma3:4b", node="shed")
    RequestRecordFactory(llm_model="gemma3:4b", node="")

    assert counted(here)[0] == 1
    assert counted(there)[0] == 1


def test_the_last_use_outlives_the_history():
    last = timezone.now() - timedelta(days=40)
    model = InstalledModelFactory(name="g:1b", last_used_at=last, requests_day=7)

    assert counted(model) == (0, last)


def test_nothing_is_written_where_nothing_changed(django_assert_num_queries):
    InstalledModelFactory.create_batch(5)
    InstalledModelFactory(name="gemma3:4b")
    asked()
    with django_assert_num_queries(3):
        use.count_use()
    with django_assert_num_queries(2):
        use.count_use()
