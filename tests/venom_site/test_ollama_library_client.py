"""The wire to ollama.com against the practice site: what it reads, how it fails."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from tests.fakes.neighbour import NeighbourState, build_application
from tests.fakes.ollama_library import LibraryDialect, LibraryState
from tests.fakes.ollama_library_pages import Look
from tests.fakes.raw import RawServer, head
from tests.fakes.server import PracticeServer
from venom_site.clients.ollama_library import LibraryRefused, OllamaLibraryClient
from venom_site.clients.ollama_library_pages import PageChanged
from venom_site.lib.errors import WireError

pytest_plugins = ("tests.fakes.fixtures",)
EVERYTHING = {
    *("llama3.2", "nomic-embed-text", "gemma3", "qwen3", "phi3", "gpt-oss", "llama3.3"),
    "practice-tiny",
}


@pytest.fixture
def client_at():
    """client_at(url) → a client that waits for nobody, closed afterwards."""
    made: list[OllamaLibraryClient] = []

    def make(url: str, gap_seconds: float = 0) -> OllamaLibraryClient:
        made.append(OllamaLibraryClient(url, gap_seconds=gap_seconds))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(practice_library, client_at):
    return client_at(practice_library.url)


@pytest.fixture
def state(practice_library) -> LibraryState:
    return practice_library.state


@pytest.fixture
def client_of(client_at):
    """client_of(page) → a client of a site on which every page is this one."""
    servers = []

    def make(page: bytes | str) -> OllamaLibraryClient:
        body = page if isinstance(page, bytes) else page.encode()

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=body, content_type="text/html")

        def build(state: NeighbourState) -> web.Application:
            app = build_application(state, LibraryDialect(LibraryState()))
            app.router.add_get("/{path:.*}", answer)
            return app

        servers.append(PracticeServer(build, NeighbourState(version="0")))
        servers[-1].start()
        return client_at(servers[-1].url)

    yield make
    for server in servers:
        server.stop()


def card(name: str, inner: str = "<p>Text</p>", href: str | None = None) -> str:
    link = f"/library/{name}" if href is None else href
    return f'<li><a href="{link}"><h2>{name}</h2>{inner}</a></li>'


LOOKS = pytest.mark.parametrize("look", [Look.NOW, Look.OLD])


@LOOKS
def test_the_library_is_read_in_both_looks(client, state, look):
    state.look = look
    page = client.models()
    assert {model.name for model in page.cards} == EVERYTHING
    assert page.next_page is None
    gemma = next(model for model in page.cards if model.name == "gemma3")
    assert gemma.description == (
        "The current, most capable model that runs on a single GPU."
    )
    assert gemma.capabilities == ("vision",)
    assert gemma.sizes == ("270m", "1b", "4b", "12b", "27b")
    assert (gemma.pulls, gemma.tag_count) == (41_700_000, 8)
    assert gemma.updated_at == datetime(2026, 6, 30, 16, 54, tzinfo=UTC)
    assert not gemma.is_cloud_only
    hosted = next(model for model in page.cards if model.name == "gpt-oss")
    assert hosted.is_cloud_only


def test_the_order_is_the_one_asked_for(client):
    assert client.models(sort="popular").cards[0].name == "llama3.2"
    assert client.models(sort="newest").cards[0].name == "qwen3"


@LOOKS
def test_pages_are_followed_to_the_last_one(client, state, look):
    state.look = look
    seen, page = [], 1
    while page:
        found = client.search("", page=page)
        seen += [model.name for model in found.cards]
        page = found.next_page
    assert len(seen) == len(EVERYTHING) == len(set(seen))
    assert state.requests["/search"] == 2


def test_the_site_is_asked_in_english_and_as_htmx_only_for_later_pages(client, state):
    client.search("", page=1)
    headers = state.last_headers["/search"]
    assert headers["Accept-Language"] == "en"
    assert "HX-Request" not in headers
    client.search("", page=2)
    assert state.last_headers["/search"]["HX-Request"] == "true"


def test_a_search_finds_words_abilities_and_the_community(client):
    found = client.search("practice").cards
    assert [model.name for model in found] == [
        "practice-tiny",
        "somebody/practice-tiny",
    ]
    found = client.search("", capabilities=["embedding"]).cards
    assert [model.name for model in found] == ["nomic-embed-text"]
    found = client.search("", capabilities=["tools", "thinking"], sort="newest").cards
    assert [model.name for model in found] == ["qwen3", "gpt-oss"]


def test_a_user_has_a_page_too(client):
    [only] = client.models(user="somebody").cards
    assert only.name == "somebody/practice-tiny"
    assert client.models(user="somebody", query="zzz").cards == ()


def test_words_are_quoted_into_the_address(client, state):
    assert client.search("a&o=newest#/../é ").cards == ()
    assert state.requests["/search"] == 1


def test_a_search_without_hits_is_empty_and_no_error(client, client_of):
    assert client.search("xyzabc123notfound").cards == ()
    form = '<form action="/search"><input name="q" value="x"></form>'
    assert client_of(f"<main>{form}<p>Nothing here.</p></main>").search("x").cards == ()
    assert client_of("<ul><p>No models found.</p></ul>").search("x").cards == ()


def test_the_end_of_a_list_that_shrank_is_empty(client_of):
    assert client_of(" \n").search("x", page=3).cards == ()


def test_a_redesign_is_a_named_error_on_every_page(client, state):
    state.look = Look.CHANGED
    for ask in (
        client.models,
        lambda: client.search("gemma"),
        lambda: client.search("", page=2),
        lambda: client.model("gemma3"),
        lambda: client.tags("gemma3"),
    ):
        with pytest.raises(PageChanged) as caught:
            ask()
        assert caught.value.permanent
        assert caught.value.reason_code == "DEGRADED"


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html><div id='root'></div><script src='/app.js'></script></html>",
        "<!doctype html><title>Sign in</title><p>Please sign in to this network.</p>",
        "<ul><p>No models</p></ul>",
        '{"models": []}',
        "<form><input name='q'></form><p>None</p>",
    ],
)
def test_a_list_without_models_is_an_error_where_some_must_be(client_of, page):
    with pytest.raises(PageChanged):
        client_of(page).models()
    with pytest.raises(PageChanged):
        client_of(page).search("")


def test_models_without_a_name_or_of_which_nothing_is_told_are_errors(client_of):
    with pytest.raises(PageChanged, match="without a name"):
        client_of(card("") + card("qwen3")).models()
    with pytest.raises(PageChanged, match="without a name"):
        client_of(card("qwen3", href="/library/<b>")).models()
    with pytest.raises(PageChanged, match="tells nothing"):
        client_of("".join(card(f"m{n}", "") for n in range(3))).models()
    assert len(client_of(card("m1", "") + card("m2", "")).models().cards) == 2


@LOOKS
def test_the_page_of_a_model_is_read_with_its_readme(client, state, look):
    state.look = look
    page = client.model("gemma3")
    assert page.card.name == "gemma3"
    assert page.card.description.startswith("The current, most capable model")
    assert page.card.pulls == 41_700_000
    assert page.card.sizes == ("270m", "1b", "4b", "12b", "27b")
    assert page.card.capabilities == ("vision",)
    assert page.card.updated_at == datetime(2026, 6, 30, 16, 54, tzinfo=UTC)
    assert "**Gemma** family that take text & images" in page.readme
    assert client.model("qwen3").readme == "Thinks <before> it answers."
    assert client.model("somebody/practice-tiny").card.pulls == 312


def test_a_readme_that_is_only_shown_becomes_plain_markdown(client_of):
    shown = """<a href="/library/x/tags">View</a><div id="readme"><div id="display">
      <h2>Use <code>x</code></h2><p>One &amp; <b>two</b>
      <a href="javascript:alert(1)">l</a></p>
      <ul><li>first</li><li>second<br></li></ul><script>alert(1)</script></div></div>"""
    readme = client_of(shown).model("x").readme
    assert readme == "## Use x\n\nOne & two l\n\n- first\n\n- second"


@LOOKS
def test_tags_are_read_once_each_with_rounded_sizes(client, state, look):
    state.look = look
    rows = {row.tag: row for row in client.tags("gemma3")}
    assert next(iter(rows)) == "latest"
    assert len(rows) == 8
    four = rows["4b"]
    assert (four.size_bytes, four.context_length) == (3_300_000_000, 131_072)
    assert four.inputs == ("Text", "Image")
    assert four.digest == rows["latest"].digest == rows["4b-it-q4_K_M"].digest
    assert rows["270m"].size_bytes == 292_000_000
    assert rows["1b"].context_length == 32_768
    assert rows["1b"].inputs == ("Text",)


@LOOKS
def test_a_tag_of_the_cloud_and_the_only_tag_of_a_model_are_read(client, state, look):
    state.look = look
    [cloud] = client.tags("gpt-oss")
    assert (cloud.tag, cloud.size_bytes) == ("20b-cloud", None)
    assert len(cloud.digest) == 12
    [only] = client.tags("somebody/practice-tiny")
    assert (only.tag, only.size_bytes, only.context_length) == (
        "q8_0",
        4_200_000,
        131_072,
    )


def test_a_name_that_is_none_is_missing_and_never_asked_for(client, state):
    for name in ("../etc", "a/b/c", "", "a b", "library/../x", "x?y", "blog/post"):
        for ask in (client.model, client.tags):
            with pytest.raises(LibraryRefused) as caught:
                ask(name)
            assert caught.value.case == "missing"
    with pytest.raises(LibraryRefused):
        client.models(user="search")
    assert not state.requests


def test_what_is_gone_or_moved_is_missing(client, state):
    with pytest.raises(LibraryRefused) as caught:
        client.model("nobody")
    assert (caught.value.case, caught.value.status) == ("missing", 404)
    assert caught.value.reason_code == "MODEL_NOT_FOUND"
    state.moved["/library/phi3"] = "/library/gemma3"
    with pytest.raises(LibraryRefused) as caught:
        client.model("phi3")
    assert (caught.value.case, caught.value.status) == ("missing", 301)
    assert not state.requests["/library/gemma3"]


@pytest.mark.parametrize(
    ("asked", "wait"), [(7, 7), (0, 1), (10**6, 3600), (None, 60), (-5, 60)]
)
def test_a_site_that_is_overrun_says_for_how_long(client, state, asked, wait):
    state.retry_after_seconds = asked
    state.faults.plan("/library", "status:429")
    with pytest.raises(LibraryRefused) as caught:
        client.models()
    assert (caught.value.case, caught.value.wait_seconds) == ("busy", wait)
    assert (caught.value.permanent, caught.value.reason_code) == (False, "RATE_LIMIT")
    assert client.models().cards


def test_the_wait_may_be_a_date_or_come_with_a_503(client_at):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    for line, least, most in (
        (f"HTTP/1.1 503 Busy\r\nRetry-After: {date}", 500, 600),
        ("HTTP/1.1 429 Busy\r\nRetry-After: tomorrow, perhaps", 60, 60),
        ("HTTP/1.1 429 Busy\r\nRetry-After: nan", 60, 60),
    ):
        answer = f"{line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        with RawServer([answer]) as server:
            with pytest.raises(LibraryRefused) as caught:
                client_at(server.url).models()
            assert least <= caught.value.wait_seconds <= most


@pytest.mark.parametrize(
    ("fault", "permanent", "words"),
    [
        ("status:500", False, "answered 500"),
        ("status:503", False, "answered 503"),
        ("status:418", True, "answered 418"),
        ("cut_mid_line", False, "broke off"),
        ("garbage", True, "lists no model"),
        ("html", True, "lists no model"),
        ("html:502", False, "answered 502"),
    ],
)
def test_other_failures_are_wire_errors(client, state, fault, permanent, words):
    state.faults.plan("/library", fault)
    with pytest.raises(WireError, match=words) as caught:
        client.models()
    assert caught.value.permanent is permanent
    assert client.models().cards


def test_a_refusal_is_told_from_a_failure(client, state):
    state.faults.plan("/library", "status:403")
    with pytest.raises(LibraryRefused) as caught:
        client.models()
    assert (caught.value.case, caught.value.reason_code) == ("denied", "AUTH_ERROR")


@pytest.mark.parametrize(
    "fault", ["slow_headers:30", "stall_before_first_byte", "stall_mid_stream:0"]
)
def test_a_slow_site_is_given_up(client, state, fault):
    state.faults.plan("/library", fault)
    began = time.monotonic()
    with pytest.raises(WireError) as caught:
        client.models(seconds=0.4)
    assert caught.value.reason_code == "FALLBACK_TIMEOUT"
    assert time.monotonic() - began < 10


def test_a_site_that_is_away_is_offline(client_at):
    with pytest.raises(WireError) as caught:
        client_at("http://127.0.0.1:9").models()
    assert caught.value.reason_code == "OFFLINE"


def test_requests_of_one_process_keep_a_distance(client_at, practice_library):
    clients = [client_at(practice_library.url, gap_seconds=0.2) for _ in range(2)]
    began = time.monotonic()
    threads = [
        threading.Thread(target=client.search, args=("gemma",))
        for client in clients
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.6
    assert practice_library.state.requests["/search"] == 4


def test_who_would_wait_too_long_for_a_turn_is_told(client_at, practice_library):
    client = client_at(practice_library.url, gap_seconds=30)
    client.search("gemma")
    with pytest.raises(WireError, match="Too many questions") as caught:
        client.search("gemma", seconds=1)
    assert not caught.value.permanent


# --- pages of strangers ---------------------------------------------------------------


@pytest.mark.slow
def test_a_page_of_ten_megabytes_is_refused_before_it_is_read(client_of):
    with pytest.raises(WireError, match="larger than 4 MiB"):
        client_of(b"<p>" + b"x" * 10_000_000).models()


def test_an_endless_page_is_given_up_at_the_limit(client_at):
    def pieces():
        yield head("text/html")
        while True:
            yield b"<li>" * 20_000

    server = RawServer(pieces())
    with server, pytest.raises(WireError, match="larger than 4 MiB"):
        client_at(server.url).models()
    assert server.sent_bytes < 64 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 120_000,
        "<li>" * 120_000,
        "<p><a>" * 60_000,
        "</div>" * 100_000,
        "<div></p>" * 200_000,
        "<svg>" * 100_000,
        "<!--" * 500_000,
        "<![CDATA[" * 200_000,
        "<a " * 500_000,
        "<a href='" * 200_000,
        "&#" * 500_000,
        "<" * 300_000,
        "<script>" + "</scrip" * 200_000,
        ("<ul><li><h2>x</h2>" * 90 + "<span>y</span>" * 900) * 90,
        "<a href='/library/x:1'>" * 150 + "<a href='/library/x:1'></a>" * 90_000,
    ],
    ids=lambda page: page[:8],
)
def test_hostile_markup_ends_in_time_and_by_name(client_of, page):
    began = time.monotonic()
    client = client_of(page)
    for ask in (client.models, lambda: client.tags("y"), lambda: client.model("y")):
        with pytest.raises(PageChanged):
            ask()
    assert time.monotonic() - began < 30


def test_a_card_in_deep_markup_is_still_found_to_a_depth(client_of):
    deep = "<div>" * 150 + card("qwen3") + "</div>" * 150
    assert client_of(deep).models().cards[0].name == "qwen3"


def test_scripts_are_no_text_and_foreign_links_no_models(client_of):
    page = (
        card("evil", href="javascript:alert(1)")
        + card("other", href="https://example.org/library/other")
        + card("far", href="//example.org/far")
        + card("docs", href="/docs/far")
        + card("mine", "<p>A <b>bold</b><script>alert(1)</script> text &lt;i&gt;</p>")
    )
    [only] = client_of(page).models().cards
    assert (only.name, only.description) == ("mine", "A bold text <i>")


def test_broken_characters_are_replaced(client_of):
    page = card("mine", "<p>caf\udce9 \0 ok</p>").encode("utf-8", "surrogateescape")
    [only] = client_of(page).models().cards
    assert only.description == "caf\ufffd ok"


def test_odd_figures_are_left_out(client_of):
    stats = (
        "<p>Text</p><p><span>{}</span><span>Pulls</span><span title='{}'></span></p>"
    )
    for pulls, date in (("many", "yesterday"), ("9" * 40, "Foo 1, 2026 4:54 PM UTC")):
        [only] = client_of(card("m", stats.format(pulls, date))).models().cards
        assert (only.pulls, only.updated_at) == (None, None)
    [only] = (
        client_of(card("m", stats.format("1,234", "Feb 29, 2025 1:00 AM UTC")))
        .models()
        .cards
    )
    assert (only.pulls, only.updated_at) == (1234, None)


def test_a_description_is_cut_and_a_card_told_twice_counts_once(client_of):
    page = card("m", f"<p>{'word ' * 1000}</p>") * 2
    [only] = client_of(page).models().cards
    assert len(only.description) == 1000


def test_badges_without_colours_are_told_by_their_words(client_of):
    spans = "".join(
        f"<span>{word}</span>"
        for word in ("tools", "9b", "e2b", "8x7b", "235b-a22b", "16.5M", "new")
    )
    [only] = (
        client_of(card("m", f"<p>Text</p>{spans}<span>16.5M</span><span> Pulls</span>"))
        .models()
        .cards
    )
    assert only.capabilities == ("tools",)
    assert only.sizes == ("9b", "e2b", "8x7b", "235b-a22b")
    assert only.pulls == 16_500_000
