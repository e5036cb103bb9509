"""The scheduled care of kept answers."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app import tasks
from models_app.models import CatalogEntry, CatalogPause
from models_app.providers.base import ProviderAway
from models_app.services import catalog, catalog_refresh
from tests.threads import at_once, in_thread
from venom_site.celery import app

pytest_plugins = (
    "tests.models_app.catalog_fixtures",
    "tests.models_app.ollama_fixtures",
)
pytestmark = pytest.mark.django_db


def backdate(*, fetched=0, viewed=0, **where):
    """As if rows had been fetched so many minutes and seen so many hours ago."""
    for row in CatalogEntry.objects.filter(**where):
        row.fetched_at -= timedelta(minutes=fetched)
        row.asked_at -= timedelta(minutes=fetched)
        row.viewed_at -= timedelta(hours=viewed)
        row.save()


def test_an_old_list_that_people_look_at_is_asked_for_again(library):
    catalog.trending("ollama")
    backdate(fetched=30, viewed=3)
    seen = CatalogEntry.objects.get().viewed_at

    assert catalog_refresh.refresh_viewed() == 1
    assert len(library.asked) == 2
    assert CatalogEntry.objects.get().viewed_at == seen


def test_what_nobody_looks_at_any_more_is_left(library):
    catalog.trending("ollama")
    backdate(fetched=31, viewed=25)

    assert catalog_refresh.refresh_viewed() == 0
    assert len(library.asked) == 1


def test_what_is_fresh_is_left(library):
    catalog.trending("ollama")
    backdate(fetched=20)

    assert catalog_refresh.refresh_viewed() == 0


def test_searches_are_refreshed_and_details_and_further_pages_are_not(library):
    first = catalog.search("ollama", "", limit=1)
    catalog.search("ollama", "", limit=1, cursor=first.next_cursor)
    catalog.details_of("ollama", "qwen3")
    backdate(fetched=31)
    library.asked.clear()

    assert catalog_refresh.refresh_viewed() == 1
    assert library.asked == ["search"]


def test_a_dead_source_is_asked_once_and_keeps_nothing_from_the_others(hub, library):
    for source in ("huggingface", "ollama"):
        catalog.trending(source)
        catalog.trending(source, newest=True)
    backdate(fetched=31)
    hub.asked.clear()
    hub.trouble = ProviderAway("Away.")

    assert catalog_refresh.refresh_viewed() == 2
    assert len(hub.asked) == 1


def test_a_profile_without_models_asks_nobody(library, environment):
    catalog.trending("ollama")
    backdate(fetched=31)
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    assert catalog_refresh.refresh_viewed() == 0


def test_sources_that_others_read_are_refreshed_by_their_own_reader(monkeypatch):
    keys = []

    def reader(key):
        keys.append(key)
        return lambda: ["fresh"]

    monkeypatch.setitem(catalog_refresh.READERS, "blog", reader)
    old = timezone.now() - timedelta(minutes=40)
    CatalogEntry.objects.create(
        source="blog", key="blog", payload=[], fetched_at=old, viewed_at=old
    )

    assert catalog_refresh.refresh_viewed() == 1
    assert keys == ["blog"]
    assert CatalogEntry.objects.get().payload == ["fresh"]


@pytest.mark.django_db(transaction=True)
def test_two_beats_are_one_refresh(library):
    catalog.trending("ollama")
    backdate(fetched=31)
    entered, leave = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert leave.wait(20)

    library.before = slow
    first = in_thread(tasks.refresh_catalogues)
    assert entered.wait(20)
    second = in_thread(lambda: at_once(tasks.refresh_catalogues, ()))
    leave.set()
    first.join()
    second.join()

    assert len(library.asked) == 2


def test_what_nobody_has_looked_at_for_long_is_forgotten(library):
    catalog.trending("ollama")
    catalog.search("ollama", "qwen")
    catalog.details_of("ollama", "qwen3")
    backdate(viewed=24 * 8)
    catalog.search("ollama", "gemma")
    CatalogPause.objects.create(
        source="blog", until=timezone.now() - timedelta(days=2), reason="x"
    )

    tasks.forget_kept_answers()

    keys = set(CatalogEntry.objects.values_list("key", flat=True))
    assert keys == {"trending?limit=50", "search?limit=10&query=gemma"}
    assert not CatalogPause.objects.exists()
    backdate(viewed=24 * 31)
    tasks.forget_kept_answers()
    assert not CatalogEntry.objects.exists()


def test_beat_runs_both_and_their_tasks_exist():
    jobs = {job["task"]: job["schedule"] for job in app.conf.beat_schedule.values()}

    assert jobs["models_app.refresh_catalogues"] == 30 * 60
    assert jobs["models_app.forget_kept_answers"] == 24 * 3600
    for name in ("refresh_catalogues", "forget_kept_answers"):
        assert getattr(tasks, name).name == f"models_app.{name}"
