"""Catalogues as programs see them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models_app.models import CatalogEntry
from models_app.providers.base import (
    CatalogueChanged,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
)
from tests.factories import InstalledModelFactory
from tests.models_app.shelves import LLAMA

pytest_plugins = (
    "tests.models_app.catalog_fixtures",
    "tests.models_app.ollama_fixtures",
)
pytestmark = pytest.mark.django_db

BASE = "/api/v1/models"
PROVIDERS, TRENDING = f"{BASE}/providers", f"{BASE}/trending"
SEARCH, LIBRARY = f"{BASE}/search", f"{BASE}/ollama/catalog"
CONTRACT = {
    *("provider", "model_name", "display_name", "size_gb", "runtime"),
    *("tags", "downloads", "likes"),
}
EVERY_CALL = [
    (PROVIDERS, {}),
    (TRENDING, {"provider": "ollama"}),
    (SEARCH, {"query": "qw", "provider": "ollama"}),
    (LIBRARY, {}),
]


@pytest.fixture
def reader(api_client, hub, library):
    return api_client("read")


def grow_old(minutes=0, seconds=0):
    by = timedelta(minutes=minutes, seconds=seconds)
    for row in CatalogEntry.objects.all():
        row.fetched_at = row.fetched_at and row.fetched_at - by
        row.asked_at -= by
        row.save()


def names(answer):
    return [model["model_name"] for model in answer.json()["models"]]


@pytest.mark.parametrize(("url", "query"), EVERY_CALL)
def test_every_list_has_the_shape_of_the_contract(reader, url, query):
    answer = reader.get(url, query)

    body = answer.json()
    assert answer.status_code == 200, body
    assert body["success"] is True
    assert body["count"] == len(body["models"]) > 0
    assert body["stale"] is False
    assert body["error"] is body["error_code"] is body["next_try_at"] is None
    assert body["fetched_at"].endswith("Z")
    assert all(set(model) >= CONTRACT for model in body["models"])


def test_a_model_says_everything_its_source_said(reader):
    body = reader.get(TRENDING, {"provider": "huggingface"}).json()

    assert body["provider"] == "huggingface"
    fit = body["models"][0].pop("fit")
    assert (fit["rough"], fit["measured"]) == (True, False)
    assert body["models"][0] == {
        "provider": "huggingface",
        "model_name": LLAMA.name,
        "display_name": LLAMA.name,
        "size_gb": 6.43,
        "size_exact": False,
        "runtime": "vllm",
        "tags": ["text-generation", "llama"],
        "downloads": 9001,
        "likes": 77,
        "owner": "meta-llama",
        "description": None,
        "url": None,
        "capabilities": [],
        "sizes": [],
        "parameters": 3_200_000_000,
        "parameter_size": "3.2B",
        "quantization": None,
        "format": None,
        "context_length": None,
        "license": "llama3.2",
        "gated": "manual",
        "private": False,
        "remote": False,
        "updated_at": "2026-10-01T12:30:00.000Z",
        "installed": False,
        "installed_names": [],
        "note": "needs profile full",
    }


def test_what_is_installed_is_marked(reader):
    InstalledModelFactory(name="qwen3:0.6b")

    first = reader.get(TRENDING, {"provider": "ollama"}).json()["models"][0]

    assert (first["installed"], first["installed_names"]) == (True, ["qwen3:0.6b"])
    assert first["note"] is None


def test_every_provider_is_in_one_list_and_named(reader):
    body = reader.get(PROVIDERS).json()

    assert body["provider"] is None
    assert {model["provider"] for model in body["models"]} == {"huggingface", "ollama"}
    assert [each["provider"] for each in body["sources"]] == ["huggingface", "ollama"]


def test_providers_can_be_one_and_be_searched(reader):
    assert names(reader.get(PROVIDERS, {"provider": "hf"}))[0] == LLAMA.name
    assert names(reader.get(PROVIDERS, {"search": "qwen"})) == ["qwen3"]


def test_a_dead_source_beside_a_living_one_is_named_and_hides_nothing(reader, hub):
    hub.trouble = ProviderAway("The hub does not answer.")

    answer = reader.get(PROVIDERS)

    body = answer.json()
    assert answer.status_code == 200
    assert names(answer) == ["qwen3", "gemma3", "kimi-k2"]
    assert body["stale"] is True
    assert body["error"] == "Hugging Face: The hub does not answer."
    assert body["error_code"] == "provider_unreachable"
    assert [each["stale"] for each in body["sources"]] == [True, False]


def test_the_limit_is_kept_and_the_rest_can_be_asked_for(reader):
    first = reader.get(SEARCH, {"query": "m", "provider": "ollama"} | {"query": "mi"})
    assert first.json()["next"] is None

    page = reader.get(LIBRARY, {"limit": 1})
    assert names(page) == ["qwen3"]


def test_a_search_goes_on_by_its_cursor(reader, library):
    asked = {"query": "em", "provider": "ollama", "limit": 1}
    library.items += [library.items[1]]
    first = reader.get(SEARCH, asked).json()
    second = reader.get(SEARCH, asked | {"cursor": first["next"]}).json()

    assert first["next"] == "1"
    assert second["next"] is None
    assert second["count"] == 1


def test_a_search_is_narrowed_by_author_filters_and_order(reader, hub):
    reader.get(
        SEARCH,
        {
            "query": "llama",
            "author": "meta-llama",
            "filter": ["llama", "text-generation"],
            "sort": "likes",
        },
    )

    assert hub.asked == ["search llama meta-llama llama text-generation likes"]


@pytest.mark.parametrize(
    "trouble",
    [
        ProviderAway("No answer."),
        CatalogueChanged("The page has no list any more."),
        SourceBusy("Wait.", wait_seconds=60),
        ProviderFailed("It said 500."),
    ],
)
def test_a_source_that_fails_shows_its_last_copy(reader, library, trouble):
    fresh = reader.get(LIBRARY).json()
    grow_old(minutes=31)
    library.trouble = trouble

    answer = reader.get(LIBRARY)

    body = answer.json()
    assert answer.status_code == 200
    assert body["models"] == fresh["models"]
    assert body["stale"] is True
    assert (body["error"], body["error_code"]) == (str(trouble), trouble.code)
    assert body["fetched_at"] < fresh["fetched_at"]
    assert body["next_try_at"] is not None


@pytest.mark.parametrize(("url", "query"), EVERY_CALL)
def test_a_source_that_fails_without_a_copy_is_502_with_its_name(
    reader, hub, library, url, query
):
    hub.trouble = library.trouble = SourceBusy("Wait a minute.", wait_seconds=60)

    answer = reader.get(url, query)

    body = answer.json()
    assert answer.status_code == 502
    assert body["code"] == "source_busy"
    assert body["detail"] == "Wait a minute."
    assert body["next_try_at"].endswith("Z")
    assert 0 < int(answer["Retry-After"]) <= 60


def test_a_refresh_is_for_operators(reader, api_client, library):
    reader.get(LIBRARY)
    grow_old(seconds=11)

    refused = reader.get(LIBRARY, {"refresh": "true"})
    asked = api_client("operate").get(LIBRARY, {"refresh": "true"})

    assert refused.status_code == 403
    assert refused.json()["required_scope"] == "operate"
    assert asked.status_code == 200
    assert len(library.asked) == 2


def test_many_refreshes_are_one_call_in_ten_seconds(api_client, library):
    client = api_client("operate")
    for _ in range(4):
        assert client.get(LIBRARY, {"refresh": "true"}).status_code == 200

    assert len(library.asked) == 1


@pytest.mark.parametrize(
    ("url", "query", "places"),
    [
        (PROVIDERS, {"provider": "x", "limit": 0}, ["provider", "limit"]),
        (PROVIDERS, {"refresh": "perhaps"}, ["refresh"]),
        (TRENDING, {}, ["provider"]),
        (TRENDING, {"provider": "vllm", "limit": 201}, ["provider", "limit"]),
        (TRENDING, {"provider": "ollama", "sort": "size"}, ["sort"]),
        (SEARCH, {}, ["query"]),
        (SEARCH, {"query": " a "}, ["query"]),
        (SEARCH, {"query": "x" * 101}, ["query"]),
        (SEARCH, {"query": "a\0b"}, ["query"]),
        (SEARCH, {"query": "qwen", "sort": "x", "limit": "y"}, ["limit", "sort"]),
        (SEARCH, {"query": "qwen", "cursor": "x" * 2001}, ["cursor"]),
        (SEARCH, {"query": "qwen", "filter": ["x"] * 11}, ["filter"]),
        (LIBRARY, {"limit": -1, "search": "x\ny"}, ["search", "limit"]),
    ],
)
def test_a_wrong_query_is_one_400_with_every_place(reader, library, url, query, places):
    answer = reader.get(url, query)

    body = answer.json()
    assert answer.status_code == 400, body
    assert body["code"] == "bad_request"
    assert [row["loc"].split(".")[1] for row in body["errors"]] == places
    assert not library.asked


def test_with_no_model_run_here_every_call_is_403_and_names_the_profiles(
    reader, environment
):
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    for url, query in EVERY_CALL:
        answer = reader.get(url, query)
        assert answer.status_code == 403
        assert answer.json()["code"] == "outside_profile"
        assert answer.json()["profiles_with_it"] == ["light", "full"]


def test_without_a_key_nothing_is_read(client, library):
    for url, query in EVERY_CALL:
        assert client.get(url, query).status_code == 401


def test_a_kept_list_costs_few_queries(reader, library, django_assert_max_num_queries):
    InstalledModelFactory.create_batch(30)
    reader.get(LIBRARY)

    with django_assert_max_num_queries(12):
        reader.get(LIBRARY)
