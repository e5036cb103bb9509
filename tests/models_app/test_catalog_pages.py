"""Trending and Catalog as people see them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers.base import CatalogueChanged, ProviderAway, SourceBusy
from models_app.providers.catalogue import Access
from models_app.services import catalog
from tests.factories import InstalledModelFactory, OperationFactory
from tests.models_app.shelves import GEMMA, QWEN, listed

pytest_plugins = (
    "tests.models_app.catalog_fixtures",
    "tests.models_app.ollama_fixtures",
)
pytestmark = pytest.mark.django_db

TRENDING, CATALOG = "/models/trending/", "/models/catalog/"
REFRESH, VARIANTS = "/models/catalog/refresh/", "/models/catalog/variants/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def operator(page_client, hub, library):
    return page_client("Operator")


@pytest.fixture
def kept_lists(hub, library):
    """Both sources have been asked a moment ago."""
    for source in ("ollama", "huggingface"):
        catalog.trending(source)
    hub.asked.clear()
    library.asked.clear()


def grow_old(minutes=31, seconds=0):
    by = timedelta(minutes=minutes, seconds=seconds)
    for row in CatalogEntry.objects.all():
        row.fetched_at = row.fetched_at and row.fetched_at - by
        row.asked_at -= by
        row.save()


def block_of(page, source):
    return page.split(f'id="catalog-{source}"')[1].split("</section>")[0]


def offer_of(page, name):
    offers = page.split('class="offer"')[1:]
    return next(offer for offer in offers if f">{name}</" in offer)


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_pages_answer_at_once_and_ask_nobody(operator, hub, library):
    for url in (TRENDING, CATALOG, f"{CATALOG}?q=gemma"):
        page = operator.get(url)
        assert page.status_code == 200
        assert 'hx-trigger="load"' in block_of(page.text, "ollama")
        assert "There is no copy of this list yet." in page.text
    assert not hub.asked
    assert not library.asked


def test_the_three_tabs_are_on_each_page_and_say_where_one_is(operator):
    for url in ("/models/", TRENDING, CATALOG):
        page = operator.get(url).text
        tabs = page.split('<nav class="seg" aria-label="Models"')[1].split("</nav>")[0]
        assert f'href="{url}" aria-current="page"' in tabs
        assert tabs.count("aria-current") == 1
        assert all(
            f'href="{other}"' in tabs for other in ("/models/", TRENDING, CATALOG)
        )


def test_a_fresh_copy_is_shown_and_does_not_ask_for_itself(operator, kept_lists):
    page = operator.get(TRENDING).text

    ollama, hub = block_of(page, "ollama"), block_of(page, "huggingface")
    assert "qwen3" in ollama
    assert "HuggingFaceTB/SmolLM2-135M" in hub
    assert 'hx-trigger="load"' not in page
    assert re.search(r"\d s ago", text_of(ollama))
    assert page.index('id="catalog-ollama"') < page.index('id="catalog-huggingface"')


def test_an_old_copy_is_shown_with_its_age_and_asks_for_itself(operator, kept_lists):
    grow_old(45)

    ollama = block_of(operator.get(TRENDING).text, "ollama")

    assert "qwen3" in ollama
    assert "45 min ago" in ollama
    assert f'hx-get="{TRENDING}?part=ollama" hx-trigger="load"' in ollama
    assert f'<noscript><a class="btn" href="{TRENDING}?part=ollama">' in ollama


def test_the_part_asks_its_own_source_only_and_comes_as_a_block(
    operator, kept_lists, hub, library
):
    grow_old()

    answer = operator.get(f"{TRENDING}?part=ollama", headers=HTMX)

    assert library.asked == ["trending 50"]
    assert not hub.asked
    assert answer.text.strip().startswith("<section")
    assert "<h1>" not in answer.text
    assert 'hx-trigger="load"' not in answer.text
    assert "catalog-huggingface" not in answer.text


def test_without_a_script_the_same_link_gives_the_whole_page(
    operator, kept_lists, hub, library
):
    grow_old()

    page = operator.get(f"{TRENDING}?part=ollama").text

    assert "<h1>Trending</h1>" in page
    assert library.asked == ["trending 50"]
    assert not hub.asked


def test_refresh_asks_now_and_leads_back(operator, kept_lists, library):
    grow_old(0, 11)
    fields = {"page": "model-trending", "part": "ollama", "sort": "newest"}

    answer = operator.post(REFRESH, fields)

    assert library.asked == ["newest 50"]
    assert answer.status_code == 302
    assert answer["Location"] == f"{TRENDING}?sort=newest#catalog-ollama"


def test_a_script_gets_the_block_back(operator, kept_lists, library):
    grow_old(0, 11)
    library.items = [GEMMA]

    answer = operator.post(
        REFRESH, {"page": "model-trending", "part": "ollama"}, headers=HTMX
    )

    assert "gemma3" in answer.text
    assert "qwen3" not in answer.text
    assert answer.text.strip().startswith("<section")


def test_a_refresh_that_comes_too_soon_says_so(operator, kept_lists, library):
    grow_old(0, 11)
    fields = {"page": "model-trending", "part": "ollama"}

    first = operator.post(REFRESH, fields, headers=HTMX).text
    second = operator.post(REFRESH, fields, headers=HTMX).text

    assert "asked again at most every 10 s" not in first
    assert "s ago, asked again at most every 10 s</span>" in second
    assert len(library.asked) == 1


def test_without_a_script_the_page_says_so_once(operator, kept_lists, library):
    grow_old(0, 11)
    fields = {"page": "model-trending", "part": "ollama"}
    said = r"Ollama[^<]*: checked \d+ s ago, asked again at most every 10 s"

    first = operator.post(REFRESH, fields, follow=True).text
    second = operator.post(REFRESH, fields, follow=True).text

    assert not re.search(said, first)
    assert re.search(said, second)
    assert not re.search(said, operator.get(TRENDING).text)
    assert len(library.asked) == 1


def test_a_refresh_of_a_search_goes_back_to_it(operator, library):
    words = "qwen size:<1GB"

    answer = operator.post(
        REFRESH, {"page": "model-catalog", "part": "ollama", "q": words}
    )

    assert library.asked == ["search qwen"]
    assert answer["Location"].startswith(f"{CATALOG}?q=qwen+size%3A%3C1GB#")


@pytest.mark.parametrize("fields", [{}, {"part": "dockerhub"}, {"part": "\0"}])
def test_a_refresh_of_nothing_is_400(operator, fields):
    assert operator.post(REFRESH, fields).status_code == 400


def test_a_reader_sees_lists_and_has_no_button(page_client, kept_lists):
    viewer = page_client("Viewer")

    page = viewer.get(TRENDING).text

    assert "qwen3" in page
    assert "Refresh" not in page
    assert "/models/install/" not in page
    assert viewer.post(REFRESH, {"part": "ollama"}).status_code == 403


def test_a_dead_source_says_so_beside_the_living_one(operator, kept_lists, hub):
    grow_old()
    hub.trouble = ProviderAway("Connection refused.")

    page = operator.get(f"{TRENDING}?part=huggingface").text

    away = text_of(block_of(page, "huggingface"))
    assert "Offline" in away
    assert "No connection to the source. Copy from" in away
    assert "next try" in away
    assert "Connection refused. provider_unreachable" in away
    assert "HuggingFaceTB/SmolLM2-135M" in away
    assert "Offline" not in block_of(page, "ollama")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (SourceBusy("429.", wait_seconds=60), "The source asked us to wait."),
        (CatalogueChanged("No list."), "in a form that this version cannot read"),
    ],
)
def test_every_trouble_has_words_of_its_own(operator, hub, trouble, words):
    hub.trouble = trouble

    page = operator.get(f"{TRENDING}?part=huggingface").text

    away = text_of(block_of(page, "huggingface"))
    assert words in away
    assert trouble.code in away
    assert "Next try" in away


def test_a_source_that_is_left_alone_is_not_asked_by_the_page(
    operator, kept_lists, hub
):
    grow_old()
    hub.trouble = ProviderAway("Away.")
    operator.get(f"{TRENDING}?part=huggingface", headers=HTMX)
    assert CatalogPause.objects.exists()

    page = operator.get(TRENDING).text

    assert 'hx-trigger="load"' not in block_of(page, "huggingface")
    assert len(hub.asked) == 1


def test_ranks_say_what_changed_since_the_copy_before(operator, kept_lists, library):
    library.items = [GEMMA, listed("ollama", "lfm2.5"), QWEN]
    grow_old()

    page = operator.get(f"{TRENDING}?part=ollama").text

    assert "1 place up" in offer_of(page, "gemma3")
    assert ">new<" in offer_of(page, "lfm2.5")
    assert "2 places down" in offer_of(page, "qwen3")


def test_the_newest_are_a_list_of_their_own_without_ranks(operator, library):
    page = operator.get(f"{TRENDING}?sort=newest&part=ollama").text

    assert library.asked == ["newest 50"]
    assert page.index("kimi-k2") < page.index("qwen3")
    assert "place" not in text_of(block_of(page, "ollama"))


def test_a_model_offers_an_install_with_its_provider(operator, kept_lists):
    page = operator.get(TRENDING).text

    install = "/models/install/?provider=ollama&amp;name=qwen3"
    assert f'href="{install}"' in offer_of(page, "qwen3")
    assert 'id="install-dialog"' in page


def test_the_name_of_a_model_leads_to_its_page(operator, kept_lists):
    offer = offer_of(operator.get(TRENDING).text, "qwen3")

    assert '<a class="mono name" href="/models/ollama/qwen3/">qwen3</a>' in offer


def test_what_is_here_has_a_check_and_no_second_install(operator, kept_lists):
    InstalledModelFactory(name="qwen3:0.6b")
    coming = OperationFactory(
        operation_type="install", provider="ollama", model_name="gemma3:4b"
    )

    page = operator.get(TRENDING).text

    here, on_its_way = offer_of(page, "qwen3"), offer_of(page, "gemma3")
    assert "Installed" in here
    assert "/models/ollama/qwen3:0.6b/" in here
    assert "/models/install/" not in here
    assert coming.get_absolute_url() in on_its_way
    assert "/models/install/" not in on_its_way


def test_marks_say_what_is_gated_and_what_runs_elsewhere(operator, kept_lists):
    page = operator.get(TRENDING).text

    assert "gated" in offer_of(page, "meta-llama/Llama-3.2-3B")
    assert "Runs in cloud" in offer_of(page, "kimi-k2")
    assert "gated" not in offer_of(page, "qwen3")


def test_models_of_another_profile_are_shown_and_not_offered(
    operator, kept_lists, environment
):
    light = offer_of(operator.get(TRENDING).text, "HuggingFaceTB/SmolLM2-135M")
    environment(VENOM_RUNTIME_PROFILE="full")
    full = offer_of(operator.get(TRENDING).text, "HuggingFaceTB/SmolLM2-135M")

    assert "needs profile full" in light
    assert "/models/install/" not in light
    assert "/models/install/?provider=huggingface" in full


def test_a_profile_that_runs_nothing_here_has_no_such_pages(operator, environment):
    environment(VENOM_RUNTIME_PROFILE="llm_off")

    for url in (TRENDING, CATALOG, VARIANTS):
        assert operator.get(url).status_code == 403
    assert operator.post(REFRESH, {"part": "ollama"}).status_code == 403
    assert TRENDING not in operator.get("/models/").text


def test_a_search_asks_both_sources_with_the_words_alone(operator, hub, library):
    for part in ("ollama", "huggingface"):
        operator.get(f"{CATALOG}?q=gemma+size:<9GB&part={part}", headers=HTMX)

    page = operator.get(f"{CATALOG}?q=gemma+size:<9GB").text

    assert library.asked == hub.asked == ["search gemma"]
    assert "gemma3" in block_of(page, "ollama")
    assert 'value="gemma size:&lt;9GB"' in page
    assert "Nothing matches." in block_of(page, "huggingface")


def test_hints_narrow_what_is_shown_and_say_what_they_left_out(operator, kept_lists):
    page = operator.get(f"{CATALOG}?q=licence:apache").text

    ollama = text_of(block_of(page, "ollama"))
    assert "qwen3" in ollama
    assert "gemma3" not in ollama
    assert "2 more without the hints" in ollama


def test_when_hints_leave_nothing_the_list_without_them_is_offered(
    operator, kept_lists
):
    ollama = block_of(operator.get(f"{CATALOG}?q=licence:nobody").text, "ollama")

    assert "3 models match without the hints." in text_of(ollama)
    assert f'href="{CATALOG}?q="' in ollama


def test_a_runtime_chooses_its_source(operator, kept_lists):
    page = operator.get(f"{CATALOG}?q=runtime:vllm").text

    assert "catalog-huggingface" in page
    assert "catalog-ollama" not in page


def test_a_fit_stands_beside_every_model(operator, kept_lists, library):
    library.items = [listed("ollama", "huge", sizes=("9000b", "12000b")), GEMMA]
    grow_old()

    page = operator.get(f"{TRENDING}?part=ollama").text

    assert "Too big" in offer_of(page, "huge")
    assert "from 9000b" in offer_of(page, "huge")
    assert "from 4b" not in offer_of(page, "gemma3")


def test_only_what_fits_here_or_only_what_does_not(operator, kept_lists, library):
    library.items = [listed("ollama", "huge", sizes=("9000b",)), GEMMA]
    library.items.append(replace(QWEN, sizes=(), name="unsized"))
    grow_old()
    operator.get(f"{CATALOG}?part=ollama")

    fitting = block_of(operator.get(f"{CATALOG}?q=fits:yes").text, "ollama")
    too_big = block_of(operator.get(f"{CATALOG}?q=fits:no").text, "ollama")

    assert "huge" not in fitting
    assert "huge" in too_big
    assert "unsized" not in fitting + too_big


def test_a_hint_that_makes_no_sense_is_told(operator, kept_lists):
    page = operator.get(f"{CATALOG}?q=size:big").text

    assert "Not understood and left out: size:big" in text_of(page)
    assert "qwen3" in page


def test_more_leads_on_in_one_source_and_back(operator, library):
    library.items = [replace(QWEN, name=f"qwen{number:02}") for number in range(25)]
    first = operator.get(f"{CATALOG}?q=qwen&part=ollama").text
    more = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")

    second = operator.get(more).text

    assert "qwen19" in first
    assert "qwen20" not in first
    assert "qwen20" in second
    assert "catalog-huggingface" not in second
    assert f'href="{CATALOG}?q=qwen"' in second
    assert 'rel="next"' not in second


def test_variants_unfold_when_they_are_looked_at(operator, library, kept_lists):
    library.access = Access.OPEN
    page = operator.get(TRENDING).text
    offer = offer_of(page, "qwen3")
    url = f"{VARIANTS}?provider=ollama&amp;name=qwen3"
    assert f'<details hx-get="{url}" hx-trigger="toggle once"' in offer
    assert f'<noscript><a href="{url}">' in offer

    part = operator.get(url.replace("&amp;", "&"), headers=HTMX).text

    assert "<h1" not in part
    assert "3.3 GB" in part
    assert "Q4_K_M" in part
    assert 'class="fit ' in part
    assert "/models/install/?provider=ollama&amp;name=qwen3%3A4b" in part


def test_what_is_gated_says_why_and_offers_no_install(operator):
    part = operator.get(f"{VARIANTS}?provider=ollama&name=qwen3", headers=HTMX).text

    assert "accept the licence at the source" in part
    assert "3.3 GB" in part
    assert "/models/install/" not in part


def test_variants_are_a_page_without_a_script(operator):
    page = operator.get(f"{VARIANTS}?provider=ollama&name=qwen3").text

    assert '<h1 class="mono">qwen3</h1>' in page
    assert "3.3 GB" in page


def test_a_model_the_source_does_not_have_says_so(operator):
    answer = operator.get(f"{VARIANTS}?provider=ollama&name=gone", headers=HTMX)

    assert answer.status_code == 200
    assert "model_not_found" in answer.text


@pytest.mark.parametrize(
    "query", ["", "provider=x&name=y", "provider=ollama&name=a/../b", "name=qwen3"]
)
def test_variants_of_nothing_are_400(operator, query):
    assert operator.get(f"{VARIANTS}?{query}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        *("part=dockerhub", "sort=size", "cursor=x", "q=" + "x" * 500),
        *("part=&cursor=%ff", "page=admin", "q=%F0%9F%92%A9"),
    ],
)
def test_a_strange_query_shows_the_page(operator, kept_lists, query):
    for url in (TRENDING, CATALOG):
        assert operator.get(f"{url}?{query}").status_code == 200


def test_text_of_strangers_stays_text(operator, library):
    evil = "<script>alert(1)</script>"
    library.items = [replace(QWEN, description=evil, license=evil, tags=(evil,))]

    page = operator.get(f"{TRENDING}?part=ollama").text

    assert evil not in page
    assert "&lt;script&gt;" in page


def test_a_page_from_kept_copies_costs_few_queries(
    operator, kept_lists, django_assert_max_num_queries
):
    InstalledModelFactory.create_batch(30)
    operator.get(TRENDING)

    with django_assert_max_num_queries(18):
        operator.get(TRENDING)
