"""The Ollama library as a catalogue: lists, tags with exact sizes, every refusal."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from models_app.providers import ollama_asked
from models_app.providers.base import (
    AccessDenied,
    CatalogueChanged,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
)
from models_app.providers.catalogue import Access
from models_app.providers.ollama_catalogue import OllamaCatalogue
from models_app.providers.ollama_listed import (
    Offer,
    Seen,
    fold,
    label_of,
    parameters_in,
    variant_of,
)
from models_app.reasons import NO_REASON
from tests.fakes.ollama_library_pages import Look
from tests.fakes.ollama_manifests import manifest_of
from venom_site.clients.ollama_library_pages import TagRow
from venom_site.clients.ollama_registry import OllamaRegistryClient, _config, _place
from venom_site.lib.errors import BadRequest, WireError

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def catalogue_at():
    """catalogue_at(library_url, registry_url) → one that waits for nobody."""
    made: list[OllamaCatalogue] = []

    def make(library_url: str, registry_url: str = NOBODY) -> OllamaCatalogue:
        made.append(OllamaCatalogue(library_url, registry_url, gap_seconds=0))
        return made[-1]

    yield make
    for catalogue in made:
        catalogue.close()


@pytest.fixture
def catalogue(practice_library, practice_registry, catalogue_at):
    return catalogue_at(practice_library.url, practice_registry.url)


@pytest.fixture
def site(practice_library):
    return practice_library.state


@pytest.fixture
def offered(practice_registry):
    return practice_registry.state.library


def names(page) -> list[str]:
    return [item.name for item in page.items]


def by_name(details) -> dict:
    return {variant.name: variant for variant in details.variants}


def test_the_most_popular_and_the_newest_are_listed(catalogue):
    popular = catalogue.trending(3)
    assert names(popular) == ["llama3.2", "nomic-embed-text", "gemma3"]
    assert popular.next_cursor == ""
    assert names(catalogue.newest(2)) == ["qwen3", "gemma3"]


def test_a_line_says_what_the_page_says(catalogue, practice_library):
    gemma = catalogue.trending(3).items[2]
    assert (gemma.provider, gemma.display_name, gemma.owner) == ("ollama", "gemma3", "")
    assert gemma.url == f"{practice_library.url}/library/gemma3"
    assert gemma.capabilities == ("vision",)
    assert gemma.sizes == ("270m", "1b", "4b", "12b", "27b")
    assert (gemma.downloads, gemma.likes) == (41_700_000, None)
    assert (gemma.size_bytes, gemma.is_exact, gemma.parameters) == (None, False, None)
    one = catalogue.search("llama 3.3", limit=1).items[0]
    assert (one.parameter_size, one.parameters) == ("70B", 70_000_000_000)


def test_hosted_models_are_marked_and_not_listed_where_the_cloud_is_ruled_out(
    catalogue, environment
):
    remote = {item.name for item in catalogue.trending(99).items if item.is_remote}
    assert remote == {"gpt-oss"}
    environment(OLLAMA_NO_CLOUD=True)
    assert "gpt-oss" not in names(catalogue.trending(99))
    assert "gpt-oss" not in names(catalogue.search("gpt", limit=9))


def test_a_search_goes_on_where_the_last_answer_ended(catalogue, site):
    site.page_size = 3
    seen, cursor = [], ""
    for _ in range(9):
        page = catalogue.search("", limit=2, cursor=cursor)
        assert len(page.items) <= 2
        seen += names(page)
        cursor = page.next_cursor
        if not cursor:
            break
    assert seen == names(catalogue.trending(99))


def test_a_search_reads_as_many_pages_as_it_needs(catalogue, site):
    site.page_size = 3
    page = catalogue.search("", limit=7)
    assert len(page.items) == 7
    assert site.requests["/search"] == 3
    assert names(catalogue.search("", limit=9, cursor=page.next_cursor)) == [
        "practice-tiny"
    ]


def test_a_page_that_is_used_up_leads_to_the_next_one(catalogue, site):
    site.page_size = 4
    page = catalogue.search("", limit=4)
    assert page.next_cursor == "2.0"
    assert site.requests["/search"] == 1


@pytest.mark.parametrize("cursor", ["x", "0.1", "1", "1.-1", "1.2.3", "9" * 50])
def test_a_cursor_that_is_none_is_refused(catalogue, cursor):
    with pytest.raises(BadRequest, match="not a cursor"):
        catalogue.search("gemma", limit=1, cursor=cursor)


def test_when_a_later_page_fails_what_came_is_the_answer(catalogue, site):
    site.page_size = 3
    first = catalogue.search("", limit=3)
    site.faults.plan("/search", "slow_headers:0")
    site.faults.plan("/search", "status:500")
    page = catalogue.search("", limit=9)
    assert (names(page), page.next_cursor) == (names(first), "2.0")
    site.faults.plan("/search", "status:429")
    with pytest.raises(SourceBusy):
        catalogue.search("", limit=9, cursor=page.next_cursor)


def test_filters_authors_and_orders(catalogue):
    assert names(catalogue.search("", limit=9, filters=("Embedding",))) == [
        "nomic-embed-text"
    ]
    assert names(catalogue.search("gemma", limit=9, filters=("4b", "vision"))) == [
        "gemma3"
    ]
    assert names(catalogue.search("gemma", limit=9, filters=("audio",))) == []
    assert names(catalogue.search("", limit=9, sort="updated"))[0] == "qwen3"
    [mine] = catalogue.search("", limit=9, author="somebody").items
    assert (mine.name, mine.owner) == ("somebody/practice-tiny", "somebody")
    for nobody in ("nobody", "search", "../x"):
        assert names(catalogue.search("", limit=9, author=nobody)) == []
    with pytest.raises(ValueError, match="is none of"):
        catalogue.search("", limit=9, sort="size")


def test_nothing_found_is_an_empty_page(catalogue):
    page = catalogue.search("xyzabc123notfound", limit=5)
    assert (page.items, page.next_cursor) == ((), "")


def test_tags_have_the_registrys_exact_bytes_and_digests(catalogue, offered):
    details = catalogue.details("gemma3")
    found = by_name(details)
    for tag in ("270m", "1b", "4b", "12b", "27b"):
        variant, manifest = (
            found[f"gemma3:{tag}"],
            manifest_of(offered.find(f"gemma3:{tag}")),
        )
        assert variant.is_exact
        assert (variant.size_bytes, variant.digest) == (
            manifest.size_bytes,
            manifest.digest,
        )
        assert variant.format == "gguf"
        assert not variant.complaint
    assert details.access is Access.OPEN
    assert details.card.startswith("## Gemma 3")


def test_tags_of_the_same_bytes_are_one_variant_and_the_default_comes_first(catalogue):
    details = catalogue.details("gemma3")
    first = details.variants[0]
    assert (first.name, first.label) == ("gemma3:4b", "4b (4b-it-q4_K_M, latest)")
    assert len(details.variants) == 6
    listed = details.listed
    assert (listed.size_bytes, listed.is_exact) == (first.size_bytes, True)
    assert (listed.quantization, listed.format) == ("Q4_K_M", "gguf")
    assert (listed.context_length, listed.parameter_size) == (131_072, "4.3B")
    assert listed.license == "gemma3: A practice licence: this model has no weights."
    assert details.architectures == ("gemma3",)


def test_the_tag_asked_for_comes_first_under_its_own_name(catalogue):
    assert catalogue.details("gemma3:12B").variants[0].name == "gemma3:12b"
    first = catalogue.details("gemma3:4b-it-q4_K_M").variants[0]
    assert first.name == "gemma3:4b-it-q4_K_M"
    with pytest.raises(ModelNotFound, match="no tag 99b of gemma3"):
        catalogue.details("gemma3:99b")


def test_names_are_read_as_ollama_reads_them(catalogue):
    assert catalogue.details("library/Gemma3").listed.name == "gemma3"
    assert catalogue.details("somebody/practice-tiny").variants[0].name == (
        "somebody/practice-tiny:q8_0"
    )
    for name in ("hf.co/a/b:Q4_K_M", "a/b/c/d", "../etc", "", "x" * 300, "no such"):
        with pytest.raises(ModelNotFound):
            catalogue.details(name)


def test_figures_come_from_the_head_of_the_weights(catalogue):
    for variant in catalogue.details("gemma3").variants:
        figures = variant.figures
        assert figures is not None
        assert (figures.layers, figures.kv_heads, figures.key_length) == (28, (8,), 128)
        assert figures.vocabulary == 6
        assert variant.size_bytes - figures.weights_bytes < 50_000
        assert figures.architecture == "gemma3"
    small = by_name(catalogue.details("gemma3"))["gemma3:270m"]
    assert small.figures.parameters == 268_098_176
    assert small.quantization == small.figures.quantization
    assert small.figures.context_length == 32_768


def test_one_head_is_read_for_all_quantizations_of_a_size(
    catalogue, offered, practice_registry
):
    base = offered.find("gemma3:4b")
    for tag, quantization in (("4b-it-q8_0", "Q8_0"), ("4b-it-fp16", "F16")):
        offered.add(
            replace(
                base,
                name=f"gemma3:{tag}",
                quantization=quantization,
                size_bytes=base.size_bytes + 9,
            )
        )
    found = by_name(catalogue.details("gemma3"))
    assert found["gemma3:4b-it-q8_0"].quantization == "Q8_0"
    assert found["gemma3:4b-it-fp16"].quantization == "F16"
    assert found["gemma3:4b-it-fp16"].figures.layers == 28
    ranges = [
        path
        for path, headers in practice_registry.state.last_headers.items()
        if "/blobs/" in path
        and headers.get("Range") == f"bytes=0-{ollama_asked.HEADER_BYTES - 1}"
    ]
    assert len(ranges) == 5  # one a size


def test_blobs_are_followed_to_the_host_where_they_lie(catalogue, practice_registry):
    practice_registry.state.leads_on = True
    details = catalogue.details("qwen3")
    assert details.variants[0].figures.layers == 28
    assert details.listed.license.startswith("qwen3: A practice licence")
    assert details.listed.quantization == "Q4_K_M"
    followed = [p for p in practice_registry.state.requests if p.startswith("/store/")]
    assert len(followed) == 3


def test_what_cannot_run_here_says_so(catalogue, environment):
    mlx = by_name(catalogue.details("gemma3"))["gemma3:4b-mlx"]
    assert "made for Apple machines" in str(mlx.complaint)
    [hosted] = catalogue.details("gpt-oss").variants
    assert (hosted.name, hosted.complaint) == ("gpt-oss:20b-cloud", NO_REASON)
    assert (hosted.size_bytes, hosted.is_exact, hosted.figures) == (None, False, None)
    environment(OLLAMA_NO_CLOUD=True)
    with pytest.raises(ModelNotFound, match="OLLAMA_NO_CLOUD rules out"):
        catalogue.details("gpt-oss")


def test_without_the_registry_sizes_are_rounded_and_say_so(
    catalogue_at, practice_library
):
    details = catalogue_at(practice_library.url).details("gemma3")
    found = by_name(details)["gemma3:4b"]
    assert (found.size_bytes, found.is_exact) == (3_300_000_000, False)
    assert len(found.digest) == 12
    assert (found.quantization, found.parameter_size) == ("Q4_K_M", "4B")
    assert found.figures.weights_bytes == 3_300_000_000
    assert (found.figures.parameters, found.figures.layers) == (4_000_000_000, 0)
    assert (found.context_length, found.figures.context_length) == (131_072, 131_072)
    assert "made for Apple" in str(by_name(details)["gemma3:4b-mlx"].complaint)
    assert details.listed.license == ""


def test_a_registry_that_wants_rest_is_asked_nothing_more(catalogue, practice_registry):
    state = practice_registry.state
    state.faults.plan("*", "status:429", times=0)
    details = catalogue.details("gemma3")
    assert not any(variant.is_exact for variant in details.variants)
    assert sum(state.requests.values()) <= ollama_asked.AT_ONCE


def test_one_manifest_that_fails_leaves_the_others_exact(catalogue, practice_registry):
    path = "/v2/library/gemma3/manifests/12b"
    for fault in ("status:500", "garbage", "cut_mid_line"):
        practice_registry.state.faults.plan(path, fault)
        found = by_name(catalogue.details("gemma3"))
        assert not found["gemma3:12b"].is_exact
        assert not found["gemma3:12b"].complaint
        assert found["gemma3:27b"].is_exact


def test_a_tag_that_only_the_page_knows_cannot_be_installed(
    catalogue, practice_registry
):
    practice_registry.state.faults.plan(
        "/v2/library/gemma3/manifests/12b", "status:404"
    )
    lost = by_name(catalogue.details("gemma3"))["gemma3:12b"]
    assert str(lost.complaint) == (
        "The library lists gemma3:12b, but the registry does not have it."
    )


def test_a_slow_registry_costs_no_more_than_the_time_there_is(
    catalogue, practice_registry, monkeypatch
):
    monkeypatch.setattr("models_app.providers.ollama_catalogue.TOTAL_SECONDS", 1.0)
    practice_registry.state.faults.plan("*", "stall_before_first_byte", times=0)
    began = time.monotonic()
    details = catalogue.details("gemma3")
    assert time.monotonic() - began < 10
    assert not any(variant.is_exact for variant in details.variants)


def test_lies_of_the_registry_are_left_out(catalogue, practice_registry, offered):
    config = manifest_of(offered.find("qwen3:0.6b")).config.digest
    weights = manifest_of(offered.find("qwen3:0.6b")).layers[0].digest
    for digest in (config, weights):
        practice_registry.state.faults.plan(
            f"/v2/library/qwen3/blobs/{digest}", "garbage"
        )
    variant = catalogue.details("qwen3").variants[0]
    assert variant.is_exact
    assert (variant.figures.layers, variant.quantization) == (0, "")


@pytest.mark.parametrize("look", [Look.NOW, Look.OLD])
def test_both_looks_give_the_same_details(catalogue, site, look):
    expected = catalogue.details("gemma3").variants
    site.look = look
    assert catalogue.details("gemma3").variants == expected


@pytest.mark.parametrize(
    ("fault", "refusal", "words"),
    [
        ("status:404", ProviderFailed, "has nothing at"),
        ("status:403", AccessDenied, "does not let us in"),
        ("status:429", SourceBusy, "left alone for 30 s"),
        ("status:500", ProviderAway, "answered 500"),
        ("cut_mid_line", ProviderAway, "broke off"),
        ("html", CatalogueChanged, "look different than before"),
        ("garbage", CatalogueChanged, "installing by name still works"),
    ],
)
def test_every_failure_of_a_list_has_a_name(catalogue, site, fault, refusal, words):
    site.faults.plan("/library", fault)
    with pytest.raises(refusal, match=words) as caught:
        catalogue.trending(3)
    assert type(caught.value) is refusal
    assert str(caught.value).startswith(("The pages of 127", "127.0.0.1"))


def test_every_failure_of_a_model_has_a_name(catalogue, site):
    with pytest.raises(ModelNotFound, match="has no model nobody"):
        catalogue.details("nobody")
    site.moved["/library/phi3"] = "/library/gemma3"
    with pytest.raises(ModelNotFound, match="or it has moved"):
        catalogue.details("phi3")
    site.faults.plan("/library/gemma3/tags", "status:429")
    with pytest.raises(SourceBusy) as caught:
        catalogue.details("gemma3")
    assert caught.value.wait_seconds == 30
    site.look = Look.CHANGED
    for ask in (
        lambda: catalogue.details("gemma3"),
        lambda: catalogue.search("x", limit=1),
    ):
        with pytest.raises(CatalogueChanged):
            ask()


def test_a_library_that_is_away_is_told(catalogue_at):
    with pytest.raises(ProviderAway, match="Nothing answers at"):
        catalogue_at(NOBODY).trending(3)


# --- without any server ---------------------------------------------------------------


def rows(*tags: tuple[str, str]) -> list[TagRow]:
    return [TagRow(tag=tag, digest=digest) for tag, digest in tags]


def test_rows_are_folded_by_their_digest_only():
    offers = fold(
        rows(
            ("7b", "b"),
            ("latest", "a"),
            ("8b-q4_0", "a"),
            ("8b", "a"),
            ("x", ""),
            ("y", ""),
        )
    )
    assert [offer.tags for offer in offers] == [
        ("8b", "8b-q4_0", "latest"),
        ("7b",),
        ("x",),
        ("y",),
    ]
    assert fold(rows(("latest", "a")))[0].tags == ("latest",)


@pytest.mark.parametrize(
    ("tag", "size", "quantization"),
    [
        ("4b", "4b", ""),
        ("4b-it-q4_K_M", "4b", "Q4_K_M"),
        ("4b-it-qat", "4b", ""),
        ("235b-a22b-thinking-2507-fp16", "235b-a22b", "F16"),
        ("e2b-it-q8_0", "e2b", "Q8_0"),
        ("8x7b-instruct-v0.1-iq2_xs", "8x7b", "IQ2_XS"),
        ("mini", "", ""),
        ("20b-mxfp4", "20b", "MXFP4"),
        ("v1.6-bf16", "", "BF16"),
        ("3b-base-quality4", "3b", ""),
    ],
)
def test_a_tag_tells_size_and_quantization(tag, size, quantization):
    [offer] = fold(rows((tag, "a")))
    assert (offer.size_label, offer.quantization) == (size, quantization)


def test_labels_are_read_as_numbers():
    texts = ["4.3B", "8x7b", "999.89M", "e2b", "", "235b-a22b", "9" * 30 + "b"]
    assert [parameters_in(text) for text in texts] == [
        4_300_000_000,
        56_000_000_000,
        999_890_000,
        *[None] * 4,
    ]


def test_a_label_of_many_tags_is_cut():
    offer = Offer(tags=tuple(f"tag-number-{n}" for n in range(50)), row=TagRow(tag="x"))
    assert len(label_of(offer)) == 80


def test_a_variant_of_which_nothing_is_known_is_still_one():
    variant = variant_of("x", fold(rows(("y", "")))[0], Seen(), no_cloud=False)
    assert (variant.name, variant.size_bytes, variant.is_exact) == ("x:y", None, False)
    assert variant.figures is None


# --- blobs of the registry ------------------------------------------------------------


def test_a_blob_is_proved_by_its_digest(practice_registry, offered):
    client = OllamaRegistryClient(practice_registry.url)
    config = manifest_of(offered.find("qwen3:0.6b")).config
    assert client.blob("qwen3:0.6b", config.digest) == config.content
    practice_registry.state.faults.plan("*", "garbage")
    with pytest.raises(WireError, match="not what its digest says"):
        client.blob("qwen3:0.6b", config.digest)
    with pytest.raises(WireError, match="something else than SHA-256"):
        client.blob("qwen3:0.6b", "sha256:../../manifests/latest")
    with pytest.raises(WireError, match="404"):
        client.blob("qwen3:0.6b", f"sha256:{'0' * 64}")
    client.close()


def test_no_redirect_leads_from_https_to_http_or_nowhere():
    assert _place("https://r.example", "https://s.example/x") == "https://s.example/x"
    assert _place("http://127.0.0.1:1", "/x") == "http://127.0.0.1:1/x"
    for location in (
        "http://s.example/x",
        "",
        "file:///etc/passwd",
        "//[x",
    ):
        with pytest.raises(WireError, match="nobody may go"):
            _place("https://r.example", location)


def test_odd_configs_are_read_as_far_as_they_make_sense():
    odd = _config(
        json.dumps(
            {"model_type": 7, "context_length": True, "file_type": "Q4_0\0"}
        ).encode()
    )
    assert (odd.parameter_size, odd.context_length, odd.quantization) == (
        "",
        None,
        "Q4_0",
    )
    for body in (b"", b"[]", b"\xff", b"[" * 100_000):
        with pytest.raises(WireError):
            _config(body)
