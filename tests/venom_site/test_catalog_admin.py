"""Kept answers in the admin: looked at in few queries, changed by nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from models_app.models import CatalogEntry, CatalogPause
from models_app.services import kept_rows
from models_app.services.kept_answers import kept

pytestmark = pytest.mark.django_db

LIST = reverse("admin:models_app_catalogentry_changelist")
PAUSES = reverse("admin:models_app_catalogpause_changelist")


def test_the_list_is_read_without_the_answers(staff, django_assert_max_num_queries):
    for number in range(30):
        kept("ollama", f"search?query={number}", lambda: ["a long answer"] * 100)
    client = staff("Viewer")

    with django_assert_max_num_queries(12) as queries:
        answer = client.get(LIST)

    assert b"search?query=7" in answer.content
    asked = [each["sql"] for each in queries if "catalogentry" in each["sql"]]
    assert not any("payload" in sql for sql in asked)


def test_one_shows_what_was_answered_and_nobody_changes_it(staff):
    kept("ollama", "trending?limit=50", lambda: {"name": "<qwen3>"})
    row = CatalogEntry.objects.get()
    url = reverse("admin:models_app_catalogentry_change", args=[row.pk])

    answer = staff("Admin").get(url)

    assert b"&lt;qwen3&gt;" in answer.content
    assert b"_save" not in answer.content


def test_a_pause_says_until_when_and_why(staff):
    kept_rows.pause("huggingface", "source_busy", "It said 429.", 60)
    assert CatalogPause.objects.get().until > timezone.now() + timedelta(seconds=30)

    assert b"It said 429." in staff("Viewer").get(PAUSES).content
