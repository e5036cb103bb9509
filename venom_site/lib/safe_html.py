"""Text of strangers made fit for our pages: model cards, summaries, descriptions.

Nothing is loaded from a foreign host, nothing runs, nothing is styled; links lead out
over http(s) only and tell nobody where they were pressed. Every call ends within a few
seconds whatever it is given. Templates put the result into a block `.foreign`.
"""

from __future__ import annotations

from html import escape, unescape

import nh3
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from venom_site.lib.card_markdown import TooCostly, rendered
from venom_site.lib.tidy_html import TAGS, Tidy, safe_url, tokens

MOST_CHARACTERS = 200_000
HEADINGS_DEEPER = 2  # the page has its own h1, the part around this an h2
REL = "noreferrer nofollow noopener"
ATTRIBUTES = {
    "a": {"href"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "div": {"class", "role", "tabindex", "aria-label"},  # only what `Tidy` wrote
}


def safe_html(html: str, *, base_url: str = "") -> SafeString:
    """HTML of which only text, lists, tables, code and links are left.

    An image becomes a link with its words. Relative addresses are those of `base_url`;
    without one they are text. What is longer than 200,000 characters is cut, and says
    so.
    """
    return _safe(html[:MOST_CHARACTERS], base_url, len(html) > MOST_CHARACTERS)


def card_html(markdown: str, *, base_url: str) -> SafeString:
    """A model card, Markdown with HTML in it, without its front matter; as above.

    A card that would take longer to read than two seconds is shown as it is written.
    """
    text, is_cut = markdown[:MOST_CHARACTERS], len(markdown) > MOST_CHARACTERS
    try:
        html = rendered(text)
    except TooCostly:
        html = f"<pre>{escape(text)}</pre>"
    return _safe(html, base_url, is_cut)


def plain_text(html: str, *, longest: int) -> str:
    """The words alone, in one line, cut at a word; for summaries and titles.

    It is text, not HTML: whoever shows it has to escape it.
    """
    parts = (
        what if kind == "text" else " " if what not in _WITHIN_WORDS else ""
        for kind, what, _rest in tokens(html[:MOST_CHARACTERS])
    )
    words = unescape("".join(parts)).replace("\0", "").split()
    text = " ".join(words)
    if len(text) <= longest:
        return text
    return text[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


_WITHIN_WORDS = frozenset({"b", "i", "em", "strong", "code", "span", "sub", "sup", "a"})


def _safe(html: str, base_url: str, is_cut: bool) -> SafeString:
    tidy = Tidy(base_url=base_url, deeper=HEADINGS_DEEPER).read(html)
    clean = nh3.clean(
        tidy,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes={"http", "https"},
        url_relative="deny",
        link_rel=REL,
    )
    return SafeString(clean + (_rest_note(base_url) if is_cut else ""))


def _rest_note(base_url: str) -> str:
    words = escape(_("The rest is left out: this text is too long to show."))
    url = safe_url(base_url)
    if not url:
        return f"<p>{words}</p>"
    link = f'<a href="{escape(url)}" rel="{REL}">{escape(_("Read it there"))}</a>'
    return f"<p>{words} {link}</p>"
