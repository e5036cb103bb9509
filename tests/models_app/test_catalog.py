"""Lists and details of catalogues as services give them, and how they are kept."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers import catalogues
from models_app.providers.base import ModelNotFound, ProviderAway, SourceBusy
from models_app.providers.catalogue import ListPage
from models_app.services import catalog, catalog_questions, catalog_rows, catalog_shapes
from models_app.services.fit import Machine
from tests.factories import InstalledModelFactory, OperationFactory
from tests.models_app.shelves import GEMMA, LLAMA, QWEN, SMOL, details, listed
from venom_site.lib.errors import OutsideProfile
from venom_site.lib.units import GB, GIB

pytest_plugins = (
    "tests.models_app.catalog_fixtures",
    "tests.models_app.ollama_fixtures",
)
pytestmark = pytest.mark.django_db
MACHINE = Machine(
    gpus=(),
    memory_free_bytes=4 * GIB,
    memory_total_bytes=8 * GIB,
    store_free_bytes=5 * GB,
)


def names(answer):
    return [item.name for item in answer.items]


def grow_old(minutes=31):
    for row in CatalogEntry.objects.all():
        row.fetched_at -= timedelta(minutes=minutes)
        row.asked_at -= timedelta(minutes=minutes)
        row.save()


@pytest.mark.parametrize("item", [QWEN, GEMMA, LLAMA, SMOL])
def test_a_list_and_details_come_back_as_they_were_kept(item):
    page = ListPage(items=(item, SMOL), next_cursor="abc")
    whole = details(item)

    kept_page = json.loads(json.dumps(catalog_shapes.page_payload(page, ("a", "b"))))
    kept_details = json.loads(json.dumps(catalog_shapes.details_payload(whole)))

    assert catalog_shapes.page_of(kept_page) == page
    assert catalog_shapes.former_of(kept_page) == ("a", "b")
    assert catalog_shapes.names_of(kept_page) == (item.name, SMOL.name)
    assert catalog_shapes.details_of(kept_details) == whole


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"v": 0, "items": []}])
def test_what_another_release_kept_is_read_as_nothing(payload):
    assert catalog_shapes.page_of(payload) is None
    assert catalog_shapes.details_of(payload) is None
    assert catalog_shapes.names_of(payload) == catalog_shapes.former_of(payload) == ()


def test_a_field_of_a_newer_release_does_no_harm():
    payload = catalog_shapes.page_payload(ListPage(items=(QWEN,)))
    payload["items"][0]["colour"] = "green"

    assert catalog_shapes.page_of(payload).items == (QWEN,)


def test_a_copy_in_another_form_is_asked_for_again_however_fresh(library):
    catalog.trending("ollama")
    CatalogEntry.objects.update(payload={"v": 0, "items": []})
    row = CatalogEntry.objects.get()
    row.asked_at -= timedelta(seconds=11)
    row.save()

    assert "qwen3" in names(catalog.trending("ollama"))


def test_wishes_of_several_lengths_share_one_copy(library):
    short, long = catalog.trending("ollama", 2), catalog.trending("ollama", 40)

    assert names(short) == ["qwen3", "gemma3"]
    assert names(long) == ["qwen3", "gemma3", "kimi-k2"]
    assert library.asked == ["trending 50"]


def test_trending_and_newest_are_two_lists(library):
    assert names(catalog.trending("ollama", newest=True))[0] == "kimi-k2"
    assert names(catalog.trending("ollama"))[0] == "qwen3"


def test_a_search_is_one_however_it_is_typed(hub):
    for words in ("llama", "LLaMA ", "  Llama"):
        assert names(catalog.search("huggingface", words)) == [LLAMA.name]

    assert hub.asked == ["search llama"]


def test_a_search_passes_on_everything_it_was_given(hub):
    catalog.search(
        "huggingface",
        "l",
        author="meta-llama",
        filters=("text-generation", "llama", "llama"),
        sort="likes",
        cursor="0",
    )

    assert hub.asked == ["search l meta-llama llama text-generation likes 0"]


def test_a_search_goes_on_where_its_page_ended(library):
    first = catalog.search("ollama", "", limit=2)
    second = catalog.search("ollama", "", limit=2, cursor=first.next_cursor)

    assert names(first) + names(second) == ["qwen3", "gemma3", "kimi-k2"]
    assert not second.next_cursor


def test_the_ollama_library_is_popular_without_words_and_searched_with(library):
    assert len(catalog.ollama_catalog().items) == 3
    assert names(catalog.ollama_catalog("gem")) == ["gemma3"]


def test_every_source_is_listed_the_dead_one_beside_the_living(hub, library):
    hub.trouble = ProviderAway("Hugging Face does not answer.")

    away, living = catalog.providers_list()

    assert (away.source, away.has_copy) == ("huggingface", False)
    assert away.kept.error == "Hugging Face does not answer."
    assert names(living)[0] == "qwen3"
    assert not living.kept.stale


def test_without_a_copy_the_refusal_has_the_name_the_source_gave_it(hub):
    hub.trouble = SourceBusy("Too many questions.", wait_seconds=90)
    answer = catalog.trending("huggingface")

    error = catalog.refusal_of(answer.kept)

    assert isinstance(error, SourceBusy)
    assert str(error) == "Too many questions."
    assert error.extras["next_try_at"].endswith("Z")
    assert 60 < error.extras["retry_after"] <= 90


def test_details_are_kept_and_refused_by_name(library):
    first, _ = catalog.details_of("ollama", "qwen3")
    second, kept = catalog.details_of("ollama", "qwen3")

    assert first == second == details(QWEN)
    assert not kept.stale
    assert library.asked == ["details qwen3"]
    with pytest.raises(ModelNotFound, match="has no model called gone"):
        catalog.details_of("ollama", "gone")


def test_cloud_models_are_hidden_where_everything_stays_here(library, environment):
    assert "kimi-k2" in names(catalog.trending("ollama"))
    environment(OLLAMA_NO_CLOUD=True)

    assert "kimi-k2" not in names(catalog.trending("ollama"))


@pytest.mark.parametrize(
    ("profile", "notes"),
    [("full", ["", ""]), ("light", ["needs profile full", ""])],
)
def test_lists_beyond_the_profile_are_marked(environment, profile, notes):
    environment(VENOM_RUNTIME_PROFILE=profile)

    assert [catalog.note_of(each) for each in ("huggingface", "ollama")] == notes


def test_a_profile_that_runs_nothing_here_has_no_catalogues(environment):
    catalog.refuse_without_models()
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    with pytest.raises(OutsideProfile) as refused:
        catalog.refuse_without_models()

    assert refused.value.extras["profiles_with_it"] == ["light", "full"]


def test_a_key_is_read_back_as_the_question_it_came_from():
    for question in (
        catalog_questions.trending("ollama", 12),
        catalog_questions.trending("huggingface", 60, kind="newest"),
        catalog_questions.search(
            "huggingface", "a&b=c ł", limit=7, author="x", filters=("d", "c"), sort="s"
        ),
    ):
        assert catalog_questions.read_key(question.source, question.key) == question


@pytest.mark.parametrize(
    "key",
    [
        "details?name=qwen3",
        "search?cursor=x&limit=10&query=q",
        "papers?month=2026-11",
        "trending?limit=x",
        "trending",
        "search?limit=10&unknown=1",
        "search?limit=10&query=" + "x" * 200 + "#" + "0" * 64,
    ],
)
def test_what_is_no_list_is_not_read_back(key):
    assert catalog_questions.read_key("ollama", key) is None
    assert catalog_questions.read_key("papers", key) is None


def test_rows_say_what_rose_fell_came_and_stayed(library):
    catalog.trending("ollama")
    assert [row.change for row in rows_of_ollama()] == [None, None, None]
    assert not any(row.is_new for row in rows_of_ollama())

    library.items = [GEMMA, listed("ollama", "lfm2.5"), QWEN]
    grow_old()
    rows = rows_of_ollama()

    assert [(row.rank, row.item.name) for row in rows] == [
        (1, "gemma3"),
        (2, "lfm2.5"),
        (3, "qwen3"),
    ]
    assert [row.change for row in rows] == [1, None, -2]
    assert [row.is_new for row in rows] == [False, True, False]


def rows_of_ollama():
    answer = catalog.trending("ollama")
    return catalog_rows.rows_of(answer, catalog_rows.held_here(), MACHINE)


def test_rows_know_what_is_here_and_what_is_coming(library):
    InstalledModelFactory(name="qwen3:0.6b")
    InstalledModelFactory(name="qwen3:8b")
    InstalledModelFactory(name="other/gemma3:4b")
    coming = OperationFactory(
        operation_type="install", provider="ollama", model_name="Gemma3:4b"
    )

    qwen, gemma, _ = rows_of_ollama()

    assert qwen.installed == ("qwen3:0.6b", "qwen3:8b")
    assert gemma.installed == ()
    assert gemma.operation == coming


def test_rows_are_judged_by_their_smallest_variant(library):
    library.items.append(listed("ollama", "huge", sizes=("70b", "405b")))
    library.items.append(listed("ollama", "unsized"))

    fits = {row.item.name: row.fit for row in rows_of_ollama()}

    assert fits["qwen3"].verdict == "fits"
    assert fits["huge"].verdict == "too_big"
    assert not fits["huge"].store_ok
    assert fits["unsized"].verdict == "unknown"
    assert fits["kimi-k2"] is None  # in the cloud


def test_what_is_here_is_known_in_two_queries(library, django_assert_num_queries):
    InstalledModelFactory.create_batch(20)
    answer = catalog.trending("ollama")

    with django_assert_num_queries(2):
        catalog_rows.rows_of(answer, catalog_rows.held_here(), MACHINE)


def test_a_kept_list_is_read_in_two_queries(library, django_assert_num_queries):
    catalog.trending("ollama")

    with django_assert_num_queries(2):
        catalog.trending("ollama", wait=False)


class Adapter:
    def __init__(self, *address):
        self.address = address
        self.is_closed = False

    def close(self):
        self.is_closed = True


def test_an_adapter_is_made_once_for_an_address(environment, monkeypatch):
    monkeypatch.setitem(catalogues.ADAPTERS, "ollama", f"{__name__}.Adapter")
    monkeypatch.setattr(catalogues, "_kept", {})
    environment(OLLAMA_LIBRARY_URL="http://127.0.0.1:1")

    first = catalogues.catalogue_for("ollama")
    again = catalogues.catalogue_for("ollama")
    environment(OLLAMA_LIBRARY_URL="http://127.0.0.1:2")
    other = catalogues.catalogue_for("ollama")

    assert first is again
    assert first.is_closed
    catalogues.close_all()
    assert other.is_closed
    assert other.address[0].startswith("http://127.0.0.1:2")


def test_a_success_of_one_question_ends_the_pause_of_its_source(hub):
    hub.trouble = ProviderAway("Away.")
    catalog.trending("huggingface")
    assert CatalogPause.objects.exists()
    hub.trouble = None
    grow = CatalogPause.objects.get()
    grow.until -= timedelta(minutes=10)
    grow.save()

    catalog.search("huggingface", "llama")

    assert not CatalogPause.objects.exists()
