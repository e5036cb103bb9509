"""Catalogues whose source is the practice Hugging Face Hub, from API to wire."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers import catalogues

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

TRENDING = "/api/v1/models/trending"
SEARCH = "/api/v1/models/search"
TINY, GATED = "practice/tiny-llama", "practice/tiny-gated"


@pytest.fixture
def hub(practice_hub, environment):
    """The practice hub as this installation's own; nothing else is there."""
    environment(HF_ENDPOINT=practice_hub.url, VENOM_RUNTIME_PROFILE="full")
    yield practice_hub
    catalogues.close_all()


@pytest.fixture
def client(api_client, hub):
    return api_client("operate")


def grow_old(minutes=31):
    for row in CatalogEntry.objects.all():
        row.fetched_at -= timedelta(minutes=minutes)
        row.asked_at -= timedelta(minutes=minutes)
        row.save()


def names(answer):
    return [model["model_name"] for model in answer.json()["models"]]


def test_what_is_popular_there_is_listed_here(client):
    answer = client.get(TRENDING, {"provider": "huggingface"})

    body = answer.json()
    assert names(answer)[0] == TINY
    assert body["stale"] is False
    first = body["models"][0]
    assert first["runtime"] == "vllm"
    assert first["size_gb"] is not None
    assert first["fit"]["verdict"] == "fits"
    assert first["note"] is None


def test_a_search_goes_on_by_the_cursor_of_the_hub(client):
    asked = {"query": "tiny", "limit": 2}
    pages, cursor = [], ""
    while len(pages) < 20:
        answer = client.get(SEARCH, asked | {"cursor": cursor})
        assert answer.status_code == 200, answer.json()
        pages.append(names(answer))
        cursor = answer.json()["next"]
        if not cursor:
            break

    found = [name for page in pages for name in page]
    assert len(pages) > 1
    assert len(found) == len(set(found))
    assert {TINY, GATED} <= set(found)


def test_a_cursor_of_nobody_is_no_500(client):
    answer = client.get(SEARCH, {"query": "tiny", "cursor": "nonsense"})

    assert answer.status_code in (200, 400, 502), answer.json()


def test_a_hub_that_is_gone_leaves_its_copy(client, hub):
    fresh = client.get(TRENDING, {"provider": "hf"})
    grow_old()
    hub.stop()

    stale = client.get(TRENDING, {"provider": "hf"})
    other = client.get(SEARCH, {"query": "tiny"})

    assert names(stale) == names(fresh)
    assert stale.json()["stale"] is True
    assert stale.json()["error_code"] == "provider_unreachable"
    assert other.status_code == 502
    assert other.json()["code"] == "provider_unreachable"
    assert int(other["Retry-After"]) > 0


def test_a_hub_that_counts_calls_is_left_alone_as_long_as_it_says(client, hub):
    client.get(TRENDING, {"provider": "hf"})
    hub.state.api_quota = 1
    grow_old()

    busy = client.get(TRENDING, {"provider": "hf"}).json()
    asked = len(hub.state.requests)
    again = client.get(SEARCH, {"query": "tiny"})

    assert busy["error_code"] == "source_busy"
    assert again.json()["code"] == "source_busy"
    assert len(hub.state.requests) == asked
    left = CatalogPause.objects.get()
    assert left.code == "source_busy"


def test_what_a_gated_model_lacks_stands_beside_its_variants(page_client, hub):
    url = f"/models/catalog/variants/?provider=huggingface&name={GATED}"

    page = page_client("Operator").get(url).text

    assert "set HF_TOKEN to continue" in page
    assert GATED in page
