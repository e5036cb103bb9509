"""Strangers' HTML and Markdown on our pages: nothing loads, nothing runs, it ends."""

from __future__ import annotations

import re
import time

import pytest
from django.utils.safestring import SafeString

from venom_site.lib import card_markdown, safe_html
from venom_site.lib.safe_html import MOST_CHARACTERS, card_html, plain_text
from venom_site.lib.safe_html import safe_html as safe
from venom_site.lib.tidy_html import DEEPEST

BASE = "https://hub.example/org/model/blob/main/"
REL = 'rel="noreferrer nofollow noopener"'
CARD = """---
license: mit
tags: [a, b]
---
# Practice 7B

A *small* model, see [the paper](https://papers.example/1) and [usage](USAGE.md).

| size | bits |
|------|-----:|
| 4 GB | 4    |

```python
print("<b>")
```

<div align="center"><img src="logo.png" alt="The logo" onerror="alert(1)"></div>
"""


def test_a_card_becomes_headings_tables_code_and_links():
    shown = card_html(CARD, base_url=BASE)

    assert isinstance(shown, SafeString)
    assert "license" not in shown
    assert "<h3>Practice 7B</h3>" in shown
    assert f'<a href="https://papers.example/1" {REL}>the paper</a>' in shown
    assert f'<a href="{BASE}USAGE.md" {REL}>usage</a>' in shown
    assert "<th>size</th>" in shown
    assert "<td>4 GB</td>" in shown
    assert 'print("&lt;b&gt;")' in shown.replace("&quot;", '"')
    assert f'<a href="{BASE}logo.png" {REL}>The logo</a>' in shown


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<script>alert(1)",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)><style>*{display:none}</style></svg>",
        '<a href="javascript:alert(1)">alert</a>',
        '<a href="JaVa&#x53;cript:alert(1)">alert</a>',
        '<a href="java\nscript:alert(1)">alert</a>',
        '<a href="data:text/html,alert(1)">alert</a>',
        '<iframe src="https://evil.example"></iframe>',
        "<form action=https://evil.example><input name=alert><button>x</button></form>",
        '<p style="position:fixed" class="toast" id="toasts" hx-get="/alert">x</p>',
        "<div hx-on:click=alert(1) role=alert tabindex=0>x</div>",
        "<base href=https://evil.example><meta http-equiv=refresh content=0>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        "<!--><img src=x onerror=alert(1)>-->",
        '<a href="https://x.example/" onclick="alert(1)" target=_top download>x</a>',
        "[x](javascript:alert(1))",
        "![x](https://evil.example/pixel.gif)",
        '<https://x.example/"onclick=alert(1)>',
    ],
)
def test_nothing_of_a_hostile_text_runs_loads_or_looks_like_ours(hostile):
    for shown in (safe(hostile, base_url=BASE), card_html(hostile, base_url=BASE)):
        lowered = shown.lower()
        assert not any(
            tag in lowered
            for tag in ("<script", "<img", "<svg", "<style", "<iframe", "<form")
        )
        for tag in lowered.split("<")[1:]:
            inside = re.sub(r'href="https?:[^"]*"', "", tag.split(">")[0])
            for word in ("onerror", "onclick", "style", "class=", "hx-", "id=", "role"):
                assert word not in inside.replace(REL, ""), shown
            assert "href" not in inside, shown


def test_an_image_is_its_words_and_never_loads():
    assert safe('<img src="https://x.example/a/cat.png" alt="A cat">') == (
        f'<a href="https://x.example/a/cat.png" {REL}>A cat</a>'
    )
    assert ">cat.png</a>" in safe("<img src=https://x.example/a/cat.png>")
    assert safe('<img src="data:image/png;base64,AAAA" alt="A dot">') == "A dot"


def test_a_badge_inside_a_link_is_one_link_with_a_name():
    shown = safe(
        '<a href="https://x.example/"><img src="https://shields.example/ok.svg"></a>'
    )

    assert shown == f'<a href="https://x.example/" {REL}>ok.svg</a>'


def test_a_link_that_nobody_could_read_is_no_link():
    assert safe('<p><a href="https://x.example/"> </a>text</p>') == "<p> text</p>"
    assert safe('<a name="top"></a>text') == "text"
    assert safe('<a href="">text</a>', base_url=BASE) == "text"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:word@x.example/",
        "https://hub.example@x.example/",
        "https://x.example/" + "a" * 3000,
        "ftp://x.example/",
        "mailto:a@x.example",
        "https://",
        "https://[::1",
        "usage.md",
        "//x.example/",
    ],
)
def test_a_link_is_an_address_of_the_web_or_text(url):
    assert safe(f'<a href="{url}">there</a>') == "there"


def test_headings_stand_below_those_of_the_page():
    assert safe("<h1>a</h1><h2>b</h2><h6>c</h6>") == "<h3>a</h3><h4>b</h4><h6>c</h6>"


def test_a_table_scrolls_in_a_frame_that_the_keyboard_reaches():
    shown = safe("<table><tr><td colspan=2>1<td colspan=9999>2</table>after")

    assert '<div class="scroll" role="group" tabindex="0" aria-label="Table">' in shown
    assert '<td colspan="2">1</td><td>2</td>' in shown
    assert shown.endswith("</table></div>after")


def test_tags_that_cross_or_stay_open_are_closed():
    assert safe("<b>a<p>b</b>c") == "<b>a<p>b</p></b>c"
    assert safe("<ul><li>a<li>b") == "<ul><li>a</li><li>b</li></ul>"
    assert safe("a < b & c <unknown>d</unknown>") == "a &lt; b &amp; c d"
    assert safe("</div></p>a") == "a"


def test_only_what_stands_at_the_beginning_is_front_matter():
    split = card_markdown.without_front_matter

    assert split("---\na: 1\n---\ntext").strip() == "text"
    assert split("\ufeff---\r\na: 1\r\n---\r\ntext").strip() == "text"
    assert split("---\na: 1\n---") == ""
    for kept in ("text\n---\na: 1\n---\n", "---\nno end", "---\na: 1\n---x\n"):
        assert split(kept) == kept


# What each would cost a careless reader: quadratic time, a tree of millions, a stack.
HOSTILE = {
    "open divs": "<div>" * 40_000,
    "crossed": "<b><i><u><s>" * 8000 + "</b></i></u></s>" * 5000,
    "bold and paragraphs": "<b>" * 5000 + "<b><p>" * 25_000,
    "attributes": "".join(f"<b title={n}>" for n in range(9000)) + "<p>x" * 20_000,
    "open comments": "<!--" * 50_000,
    "open tags": "<a " * 60_000,
    "open quotes": ('<a href="' + "x" * 3900 + ">") * 50,
    "open scripts": "<script>" * 25_000,
    "nested tables": "<table><tr><td>" * 13_000,
    "signs": "<" * 200_000,
    "brackets": "[" * 200_000,
    "links": "[a](" * 50_000,
    "images": "![[]()" * 30_000,
    "stars": "**a" * 66_000,
    "ticks": "".join("`" * n + " " for n in range(600)),
    "quotes": (">" * 100 + "\n") * 2000,
    "lists": "".join("  " * n + "- a\n" for n in range(400)),
    "one long address": "[a]: /" + "x" * 100_000 + "\n\n" + "[a]" * 33_000,
    "wide table": "|a" * 30_000 + "|\n" + "|-" * 30_000 + "|\n" + "|x\n" * 20_000,
    "long table": "|a|\n|-|\n" + "x\n" * 60_000,
    "five megabytes": "# a\n\n" * 1_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_long_or_grows_without_end(name):
    began = time.monotonic()
    shown = card_html(HOSTILE[name], base_url=BASE)
    also = safe(HOSTILE[name])

    assert time.monotonic() - began < 30  # seconds; alone it is three
    assert len(shown) < 10 * MOST_CHARACTERS
    assert len(also) < 10 * MOST_CHARACTERS


def test_what_lies_too_deep_keeps_its_text():
    shown = safe("<blockquote>" * 500 + "deep")

    assert shown.count("<blockquote>") == DEEPEST
    assert "deep" in shown


def test_a_text_that_is_too_long_is_cut_and_says_where_the_rest_is():
    shown = card_html("word " * MOST_CHARACTERS, base_url=BASE)

    assert "The rest is left out" in shown
    assert shown.endswith(f'<a href="{BASE}" {REL}>Read it there</a></p>')
    assert "The rest is left out" not in card_html("word", base_url=BASE)


def test_a_card_that_takes_too_long_is_shown_as_it_was_written(monkeypatch):
    monkeypatch.setattr(card_markdown, "SECONDS_AT_MOST", -1)

    assert card_html("# *a* <b>", base_url=BASE) == "<pre># *a* &lt;b&gt;</pre>"


def test_plain_text_is_words_in_one_line():
    html = "<p>One <b>t</b>wo&amp;three</p><p>four\n\n five</p><script>x</script>"

    assert plain_text(html, longest=100) == "One two&three four five"
    assert plain_text("&lt;b&gt; stays text", longest=100) == "<b> stays text"
    assert plain_text("a\0b", longest=100) == "ab"


def test_plain_text_is_cut_at_a_word():
    assert plain_text("one two, three", longest=10) == "one two…"
    assert plain_text("x" * 50, longest=10) == "x" * 9 + "…"
    assert plain_text("one two", longest=7) == "one two"


def test_the_same_text_twice_is_the_same():
    once = safe_html.safe_html(CARD, base_url=BASE)

    assert safe_html.safe_html(CARD, base_url=BASE) == once
