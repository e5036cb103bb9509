"""The practice library is checked against what was seen of ollama.com."""

import re

import httpx
import pytest

from tests.fakes.ollama_library_pages import Look
from tests.fakes.ollama_library_texts import (
    long_date,
    short_count,
    short_size,
    story_of,
)
from tests.fakes.ollama_manifests import manifest_of

pytest_plugins = ("tests.fakes.fixtures",)
HTMX = {"HX-Request": "true"}
HREF = re.compile(r'<li[^>]*>\s*<a href="(/[^"]+)" class="group w-full')
SENTINEL = re.compile(r'<li hx-get="(/search\?[^"]+)" hx-trigger="revealed"')


@pytest.fixture
def http(practice_library):
    with httpx.Client(base_url=practice_library.url, timeout=10) as http:
        yield http


@pytest.fixture
def state(practice_library):
    return practice_library.state


def test_a_card_is_a_list_item_with_a_link_a_heading_and_labelled_figures(http):
    page = http.get("/library?sort=popular")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    start = page.text.index('<a href="/library/qwen3"')
    card = page.text[start : page.text.index("</li>", start)]
    assert "<h2" in card
    assert "<span >21.4M</span>" in card
    assert re.search(r"21\.4M</span>\s*<span[^>]*>&nbsp;Pulls</span>", card)
    assert 'title="Jul 1, 2026 4:54 PM UTC"' in card
    assert re.search(r'rounded-md bg-indigo-50[^>]*">tools</span>', card)
    assert re.search(r'rounded-md bg-\[#ddf4ff\][^>]*">0\.6b</span>', card)


def test_the_old_look_marks_its_parts_and_the_present_one_does_not(http, state):
    marks = ("model ", "search-response-title", "capability", "size", "pull-count")
    assert "x-test-" not in http.get("/library").text
    state.look = Look.OLD
    page = http.get("/library").text
    assert all(f"x-test-{mark}" in page for mark in (*marks, "tag-count", "updated"))
    state.look = Look.CHANGED
    page = http.get("/library").text
    assert HREF.findall(page) == []
    assert "/library/qwen3" in page


def test_lists_are_sorted_by_pulls_or_by_date(http):
    popular = HREF.findall(http.get("/library?sort=popular").text)
    newest = HREF.findall(http.get("/library?sort=newest").text)
    assert popular[0] == "/library/llama3.2"
    assert newest[0] == "/library/qwen3"
    assert set(popular) == set(newest)
    assert "/somebody/practice-tiny" not in popular


def test_later_pages_come_only_to_htmx_and_the_last_has_no_sentinel(http, state):
    first = http.get("/search").text
    assert len(HREF.findall(first)) == state.page_size
    [link] = SENTINEL.findall(first)
    assert link == "/search?page=2"
    assert http.get(link).text == first  # the first page again
    second = http.get(link, headers=HTMX).text
    assert "<html" not in second
    assert not set(HREF.findall(first)) & set(HREF.findall(second))
    assert SENTINEL.findall(second) == []


def test_a_search_finds_the_community_and_says_when_there_is_nothing(http):
    found = HREF.findall(http.get("/search?q=practice").text)
    assert found == ["/library/practice-tiny", "/somebody/practice-tiny"]
    nothing = http.get("/search?q=xyzabc123notfound")
    assert (nothing.status_code, HREF.findall(nothing.text)) == (200, [])
    assert '<p class="text-neutral-500">No models</p>' in nothing.text
    assert HREF.findall(http.get("/search?c=cloud").text) == ["/library/gpt-oss"]


def test_a_model_of_the_cloud_has_its_badge_and_no_size(http):
    page = http.get("/search?q=gpt-oss").text
    assert re.search(r'bg-cyan-50[^>]*">cloud</span>', page)
    assert "bg-[#ddf4ff]" not in page
    tags = http.get("/library/gpt-oss/tags").text
    assert "High Usage" in tags
    assert "GB" not in tags


def test_tags_are_told_twice_and_agree_with_the_registry(http, practice_registry):
    page = http.get("/library/gemma3/tags").text
    for model in practice_registry.state.library:
        if not model.name.startswith("gemma3:"):
            continue
        manifest = manifest_of(model)
        assert page.count(f'href="/library/{model.name}"') == 2
        assert f'<input class="command hidden" value="{model.name}" />' in page
        assert manifest.digest[:12] in page
        cell = '<p class="col-span-2 text-neutral-500 text-[13px]">'
        assert f"{cell}{short_size(manifest.size_bytes)}</p>" in page
    assert "128K context window" in page
    assert "Text, Image input" in page


def test_the_page_of_a_model_tells_its_readme(http, state):
    page = http.get("/library/gemma3").text
    assert 'id="summary-content"' in page
    assert 'id="display"' in page
    assert 'id="editor"' not in page
    state.look = Look.OLD
    page = http.get("/library/gemma3").text
    assert '<textarea id="editor" name="markdown">\n## Gemma 3' in page
    assert http.get("/somebody/practice-tiny").status_code == 200
    assert http.get("/somebody").status_code == 200


def test_what_is_not_there_is_404_and_what_moved_is_redirected(http, state):
    for path in ("/library/nobody", "/library/nobody/tags", "/nobody", "/nobody/x"):
        assert http.get(path).status_code == 404
    state.moved["/library/phi3"] = "/library/phi3.5"
    moved = http.get("/library/phi3")
    assert (moved.status_code, moved.headers["location"]) == (301, "/library/phi3.5")


def test_it_breaks_as_told(http, state):
    state.faults.plan("/library", "status:429")
    busy = http.get("/library")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "30")
    state.faults.plan("/library", "status:500")
    broken = http.get("/library")
    assert broken.status_code == 500
    assert "retry-after" not in broken.headers
    state.faults.plan("/library", "cut_mid_line")
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/library")
    assert state.requests["/library"] == 3


def test_its_look_can_be_changed_from_outside(http, state):
    assert http.post("/__practice__/look", json={"look": "old"}).json()["look"] == "old"
    assert state.look is Look.OLD
    assert http.post("/__practice__/look", json={"look": "nice"}).status_code == 400
    http.post("/__practice__/library", json={"add": ["fresh:1b"]})
    assert "/library/fresh" in http.get("/library").text


def test_figures_are_written_as_the_site_writes_them():
    counts = [21_400_000, 649_200, 1_200_000_000, 312, 58]
    assert [short_count(n) for n in counts] == ["21.4M", "649.2K", "1.2B", "312", "58"]
    sizes = [6_594_474_711, 14_333_924_167, 63_000_000]
    assert [short_size(n) for n in sizes] == ["6.6GB", "14GB", "63MB"]
    assert long_date(story_of("llama3.3").updated) == "Dec 7, 2024 12:04 AM UTC"
