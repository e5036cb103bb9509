"""Catalogues whose source is the practice Ollama library, from API to wire."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers import catalogues
from tests.fakes.ollama_library_pages import Look
from tests.fakes.ollama_manifests import manifest_of

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

BASE = "/api/v1/models"
LIBRARY, DETAILS = f"{BASE}/ollama/catalog", f"{BASE}/details"
SEARCH, TRENDING = f"{BASE}/search", f"{BASE}/trending"


@pytest.fixture
def library(practice_library, practice_registry, environment):
    """The practice site and registry as this installation's own."""
    environment(
        OLLAMA_LIBRARY_URL=practice_library.url,
        OLLAMA_REGISTRY_URL=practice_registry.url,
    )
    yield practice_library
    catalogues.close_all()


@pytest.fixture
def client(api_client, library):
    return api_client("operate")


def grow_old(minutes=31):
    for row in CatalogEntry.objects.all():
        row.fetched_at -= timedelta(minutes=minutes)
        row.asked_at -= timedelta(minutes=minutes)
        row.save()


def names(answer):
    return [model["model_name"] for model in answer.json()["models"]]


def test_the_library_is_listed_most_popular_first(client):
    answer = client.get(LIBRARY, {"limit": 2})

    assert names(answer) == ["llama3.2", "nomic-embed-text"]
    first = answer.json()["models"][0]
    assert first["runtime"] == "ollama"
    assert first["sizes"] == ["3b"]
    assert first["downloads"] == 66_400_000
    assert first["updated_at"] == "2024-09-25T21:09:00.000Z"
    newest = client.get(TRENDING, {"provider": "ollama", "sort": "newest"})
    assert names(newest)[0] == "qwen3"


def test_a_search_finds_the_community_and_goes_on_by_its_cursor(client, library):
    assert names(client.get(LIBRARY, {"search": "practice"})) == [
        "practice-tiny",
        "somebody/practice-tiny",
    ]
    assert names(client.get(LIBRARY, {"search": "xyzabc123"})) == []
    library.state.page_size = 2
    seen, cursor = [], ""
    while True:
        asked = {"query": "model", "provider": "ollama", "limit": 1, "cursor": cursor}
        answer = client.get(SEARCH, asked)
        assert answer.status_code == 200, answer.json()
        seen += names(answer)
        cursor = answer.json()["next"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) > 2


def test_a_model_is_told_with_exact_bytes_and_a_fit_for_each_variant(client, library):
    body = client.get(DETAILS, {"provider": "ollama", "name": "gemma3"}).json()

    found = {variant["name"]: variant for variant in body["variants"]}
    model = library.state.library.find("gemma3:27b")
    assert found["gemma3:27b"]["size_bytes"] == manifest_of(model).size_bytes
    assert found["gemma3:27b"]["digest"] == manifest_of(model).digest
    assert found["gemma3:4b"]["quantization"] == "Q4_K_M"
    assert found["gemma3:4b"]["fit"]["verdict"]
    assert found["gemma3:4b-mlx"]["fit"] is None


def test_a_redesign_leaves_the_copy_and_names_itself(client, library):
    fresh = client.get(LIBRARY)
    library.state.look = Look.CHANGED
    grow_old()

    stale = client.get(LIBRARY)
    other = client.get(SEARCH, {"query": "gemma", "provider": "ollama"})

    assert names(stale) == names(fresh)
    assert (stale.json()["stale"], stale.json()["error_code"]) == (
        True,
        "catalogue_changed",
    )
    assert "installing by name still works" in stale.json()["error"]
    assert (other.status_code, other.json()["code"]) == (502, "catalogue_changed")


def test_a_site_that_wants_rest_is_left_alone_as_long_as_it_says(client, library):
    library.state.faults.plan("/library", "status:429")

    busy = client.get(LIBRARY)
    asked = sum(library.state.requests.values())
    again = client.get(SEARCH, {"query": "gemma", "provider": "ollama"})

    assert (busy.status_code, busy.json()["code"]) == (502, "source_busy")
    assert again.json()["code"] == "source_busy"
    assert sum(library.state.requests.values()) == asked
    assert CatalogPause.objects.get().source == "ollama"


def test_a_model_that_is_not_there_is_404(client):
    answer = client.get(DETAILS, {"provider": "ollama", "name": "nobody"})

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


def test_the_cloud_is_not_offered_where_it_is_ruled_out(client, environment):
    assert "gpt-oss" in names(client.get(LIBRARY))
    environment(OLLAMA_NO_CLOUD=True)

    assert "gpt-oss" not in names(client.get(LIBRARY))
    answer = client.get(DETAILS, {"provider": "ollama", "name": "gpt-oss"})
    assert answer.status_code == 404
    assert "OLLAMA_NO_CLOUD" in answer.json()["detail"]
