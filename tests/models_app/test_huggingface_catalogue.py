"""The Hugging Face Hub as a catalogue, against the practice hub."""

import json
import time
from datetime import UTC, datetime

import pytest

from models_app.providers import base
from models_app.providers.catalogue import Access, Catalogue
from models_app.providers.huggingface_catalogue import (
    SORTS,
    HuggingFaceCatalogue,
    without_header,
)
from models_app.reasons import NO_REASON
from tests.fakes.huggingface_state import PRACTICE_TOKEN
from tests.fakes.raw import RawServer, whole
from tests.fakes.tiny_model import tiny_config, tiny_files, tiny_weights

TINY, GATED = "practice/tiny-llama", "practice/tiny-gated"


@pytest.fixture
def catalogue(practice_hub) -> Catalogue:
    return HuggingFaceCatalogue(practice_hub.url)


@pytest.fixture
def signed_in(practice_hub) -> Catalogue:
    return HuggingFaceCatalogue(practice_hub.url, PRACTICE_TOKEN)


@pytest.fixture
def state(practice_hub):
    return practice_hub.state


def names(page):
    return [item.name for item in page.items]


# Lists


def test_trending_shows_what_vllm_runs_in_the_order_of_the_hub(catalogue):
    found = names(catalogue.trending(50))
    assert found[:3] == [TINY, "practice/tiny-nosystem", "practice/sharded-12m"]
    assert not {"practice/tiny-GGUF", "practice/pickled", "practice/pictures"} & set(
        found
    )


def test_newest_comes_first_in_newest(catalogue):
    moments = names(catalogue.newest(50))
    assert moments[0] == "tiny-of-nobody"
    assert names(catalogue.newest(2)) == moments[:2]


def test_an_item_tells_what_people_choose_by(catalogue, practice_hub):
    item = catalogue.trending(1).items[0]
    assert (item.provider, item.name, item.display_name) == (
        *("huggingface", TINY),
        "tiny-llama",
    )
    assert (item.owner, item.url) == ("practice", f"{practice_hub.url}/{TINY}")
    assert (item.downloads, item.likes) == (123_456, 900)
    assert (item.parameters, item.parameter_size) == (120_256, "120K")
    assert (item.size_bytes, item.is_exact) == (4 * 120_256, False)
    assert (item.format, item.quantization, item.license) == (
        *("safetensors", "F32"),
        "mit",
    )
    assert item.updated_at == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert "llama" in item.tags
    assert not [tag for tag in item.tags if ":" in tag]


def test_a_search_finds_also_what_vllm_does_not_run(catalogue):
    (item,) = catalogue.search("gguf", limit=5).items
    assert (item.format, item.context_length) == ("gguf", 512)
    assert item.size_bytes is None


def test_a_search_is_narrowed_and_paged(catalogue):
    page = catalogue.search("tiny", limit=3, author="practice", sort="likes")
    assert len(page.items) == 3
    more = catalogue.search(
        "tiny", limit=3, author="practice", sort="likes", cursor=page.next_cursor
    )
    assert not set(names(page)) & set(names(more))
    assert names(catalogue.search("", limit=9, filters=("awq",))) == [
        "practice/tiny-awq"
    ]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_is_one_that_the_hub_knows(catalogue, sort):
    assert catalogue.search("tiny", limit=3, sort=sort).items


def test_an_unknown_order_is_refused(catalogue):
    with pytest.raises(ValueError, match="newest"):
        catalogue.search("tiny", limit=3, sort="size")


def test_quantization_stands_in_the_tags_of_a_list(catalogue):
    (item,) = catalogue.search("awq", limit=5).items
    assert item.quantization == "AWQ 4-bit"


# Details


def test_details_tell_the_exact_bytes_that_an_install_would_fetch(catalogue, state):
    details = catalogue.details("practice/sharded-12m")
    (variant,) = details.variants
    kept = state.shelf.find("practice/sharded-12m")
    unwanted = ("original/", "onnx/", "consolidated", "pytorch", "README", ".git")
    wanted = [
        file
        for path, file in kept.files.items()
        if not path.startswith(unwanted) and not path.endswith(".gguf")
    ]
    assert variant.size_bytes == sum(len(file.content) for file in wanted)
    assert (variant.is_exact, variant.files) == (True, len(wanted))
    assert (variant.name, variant.complaint) == ("practice/sharded-12m", NO_REASON)
    assert details.revision == kept.commit


def test_details_read_the_figures_from_the_models_own_config(catalogue):
    details = catalogue.details(TINY)
    (variant,) = details.variants
    figures = variant.figures
    assert (figures.layers, figures.kv_heads, figures.key_length) == (2, (2,), 32)
    assert figures.weights_bytes == len(tiny_weights())
    assert (figures.parameters, figures.dtype) == (120_256, "float32")
    assert (variant.context_length, variant.format) == (512, "safetensors")
    assert (variant.parameter_size, variant.quantization) == ("120K", "F32")
    assert details.architectures == ("LlamaForCausalLM",)


def test_quantization_of_a_config_wins_over_that_of_tags(catalogue):
    (variant,) = catalogue.details("practice/tiny-awq").variants
    assert (variant.quantization, variant.label) == ("AWQ 4-bit", "120K AWQ 4-bit")


def test_the_card_comes_without_its_header(catalogue):
    card = catalogue.details(TINY).card
    assert card.startswith("# A practice model")
    assert "license:" not in card


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("---\na: 1\n---\n# T\n", "# T"),
        ("---\r\na: 1\r\n---\r\n# T", "# T"),
        ("\ufeff---\na: 1\n---\n\n\n# T\n---\nx", "# T\n---\nx"),
        ("---\na: 1\n---", ""),
        ("---\nnever ends", "---\nnever ends"),
        ("# T\n---\nx\n---\n", "# T\n---\nx\n---\n"),
        ("", ""),
    ],
)
def test_only_a_header_at_the_top_is_one(card, text):
    assert without_header(card) == text


def test_a_licence_has_an_address(catalogue, state):
    assert catalogue.details(GATED).license_url == (
        "https://example.org/practice-licence"
    )
    commit = state.shelf.publish(TINY, {"LICENSE": b"MIT"})
    page = catalogue.details(TINY).license_url
    assert page.endswith(f"/{TINY}/blob/{commit}/LICENSE")


def test_another_revision_is_another_answer(catalogue, state):
    before = state.shelf.find(TINY).commit
    config = {**tiny_config(), "num_hidden_layers": 9}
    state.shelf.publish(TINY, {"config.json": json.dumps(config).encode()})
    assert catalogue.details(TINY).variants[0].figures.layers == 9
    old = catalogue.details(TINY, before)
    assert (old.revision, old.variants[0].figures.layers) == (before, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("practice/tiny-GGUF", "hf.co/practice/tiny-GGUF"),
        ("practice/no-weights", "no weights"),
        ("practice/pickled", "pickle"),
        ("practice/pictures", "pipeline"),
    ],
)
def test_what_cannot_be_installed_says_why(catalogue, name, words):
    (variant,) = catalogue.details(name).variants
    assert words in str(variant.complaint)


def test_thousands_of_files_are_no_trouble(catalogue, state):
    (variant,) = catalogue.details("practice/many-files").variants
    assert (variant.files, variant.complaint) == (6, NO_REASON)
    assert state.requests["/api/models/practice/many-files"] == 1


# Access


def test_a_gated_model_says_what_is_missing(catalogue, signed_in, state):
    details = catalogue.details(GATED)
    assert (details.access, details.listed.gated) == (Access.TOKEN_MISSING, "manual")
    assert "HF_TOKEN" in details.access_note
    assert details.variants[0].size_bytes  # the sizes are told to everybody
    assert details.variants[0].figures is None
    details = signed_in.details(GATED)
    assert details.access is Access.LICENCE_MISSING
    assert f"/{GATED}" in details.access_note
    state.accepted.add(GATED)
    details = signed_in.details(GATED)
    assert (details.access, details.access_note) == (Access.OPEN, "")
    assert details.variants[0].figures is not None


def test_nobody_is_asked_for_access_to_what_is_open(signed_in, state):
    signed_in.details(TINY)
    assert not [path for path in state.requests if "auth-check" in path]


def test_a_private_model_is_open_to_its_token_and_missing_to_others(
    catalogue, signed_in
):
    details = signed_in.details("practice/tiny-private")
    assert (details.access, details.listed.is_private) == (Access.OPEN, True)
    with pytest.raises(base.ModelNotFound, match="HF_TOKEN"):
        catalogue.details("practice/tiny-private")


def test_access_that_could_not_be_asked_for_is_said_to_be_unknown(signed_in, state):
    state.faults.plan(f"/api/models/{GATED}/auth-check", "status:500")
    details = signed_in.details(GATED)
    assert details.access is Access.OPEN
    assert "not known" in details.access_note


# What goes wrong


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("no/body", base.ModelNotFound),
        ("a--b/c", base.ModelNotFound),
        ("practice/tiny-disabled", base.AccessDenied),
    ],
)
def test_refusals_of_the_hub_are_the_products(catalogue, name, refusal):
    with pytest.raises(refusal):
        catalogue.details(name)


def test_a_wrong_token_is_told_by_name(practice_hub):
    wrong = HuggingFaceCatalogue(practice_hub.url, "hf_wrong")
    with pytest.raises(base.AccessDenied, match="HF_TOKEN"):
        wrong.trending(3)


def test_a_busy_hub_says_how_long_to_leave_it_alone(catalogue, state):
    state.api_quota, state.reset_seconds = 0, 99
    with pytest.raises(base.SourceBusy) as caught:
        catalogue.trending(3)
    assert caught.value.wait_seconds == 100


def test_a_hub_that_is_away_or_failing_is_passing(catalogue, practice_hub):
    practice_hub.state.faults.plan("*", "status:503")
    with pytest.raises(base.ProviderAway, match="503"):
        catalogue.trending(3)
    practice_hub.stop()
    with pytest.raises(base.ProviderAway, match="Nothing answers"):
        catalogue.details(TINY)


@pytest.mark.parametrize("fault", ["html", "garbage", "redirect_loop"])
def test_a_hub_that_answers_otherwise_has_changed(catalogue, state, fault):
    state.faults.plan("*", fault, times=0)
    for call in (lambda: catalogue.trending(3), lambda: catalogue.details(TINY)):
        with pytest.raises(base.CatalogueChanged):
            call()


def test_what_is_no_list_of_models_has_changed_too():
    with (
        RawServer([whole({"models": []})]) as server,
        pytest.raises(base.CatalogueChanged),
    ):
        HuggingFaceCatalogue(server.url).trending(3)


@pytest.mark.parametrize(
    "config", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000]
)
def test_a_config_that_is_none_costs_the_figures_only(catalogue, state, config):
    state.shelf.publish(TINY, {"config.json": config})
    (variant,) = catalogue.details(TINY).variants
    assert variant.figures is None
    assert variant.size_bytes


@pytest.mark.slow
def test_a_hub_that_stalls_half_way_still_gives_the_sizes_in_time(
    catalogue, state, monkeypatch
):
    monkeypatch.setattr("models_app.providers.huggingface_catalogue.TOTAL_SECONDS", 2)
    for path in ("config.json", "README.md"):
        commit = state.shelf.find(TINY).commit
        state.faults.plan(f"/{TINY}/resolve/{commit}/{path}", "stall_before_first_byte")
    began = time.monotonic()
    details = catalogue.details(TINY)
    assert (details.card, details.variants[0].figures) == ("", None)
    assert details.variants[0].size_bytes
    assert time.monotonic() - began < 10


def test_a_model_that_moved_is_told_by_its_new_name(catalogue, state):
    state.shelf.move(TINY, "practice/renamed")
    details = catalogue.details(TINY)
    assert details.listed.name == details.variants[0].name == "practice/renamed"


def test_a_card_that_is_too_long_is_left_out(catalogue, state):
    state.shelf.put("practice/long", {**tiny_files(), "README.md": b"x" * 600_000})
    assert catalogue.details("practice/long").card == ""
