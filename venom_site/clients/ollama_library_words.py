"""How ollama.com writes names, counts, sizes, dates and badges; pure functions.

Used by `ollama_library_pages.py`. Counts and sizes are rounded by the site: `21.4M`
pulls, `6.6GB` (decimal), contexts in multiples of 1024 (`256K`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from venom_site.clients.ollama_library_html import Node, words_of

LARGEST = 2**53
NO_HITS = re.compile(r"no (?:models?|results?)(?: (?:were )?found)?\.?", re.IGNORECASE)
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)
# First parts of addresses that belong to the site and not to somebody.
_ITS_OWN = words_of(
    "api assets blog cloud connect docs download library models pricing privacy public "
    "search settings signin signup terms upgrade v2"
)


def is_part(text: str) -> bool:
    """Whether it may be a model's name or a tag."""
    return _PART.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Whether it may be the name of a user."""
    return _NAMESPACE.fullmatch(text) is not None and text.lower() not in _ITS_OWN


def path_of(name: str) -> str:
    """`qwen3` → /library/qwen3, `user/name` → /user/name."""
    return f"/{name}" if "/" in name else f"/library/{name}"


def name_in(link: str) -> str | None:
    """The model a link leads to: empty for a bad name, None for another place."""
    parts = link.partition("?")[0].partition("#")[0].split("/")
    if len(parts) != 3 or parts[0]:
        return None
    _, first, second = parts
    if first == "library":
        return second if is_part(second) else ""
    return f"{first}/{second}" if is_namespace(first) and is_part(second) else None


_COUNT = re.compile(r"([\d,]+(?:\.\d+)?) ?([KMBT]?)", re.ASCII | re.IGNORECASE)
_STEPS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def count_in(text: str) -> int | None:
    """21.4M → 21 400 000; None for what is no count."""
    found = _COUNT.fullmatch(text.strip())
    if found is None or not found[1].strip(",") or len(found[1]) > 20:
        return None
    number = Decimal(found[1].replace(",", "")) * _STEPS[found[2].upper()]
    return int(number) if number < LARGEST else None


_LABELS = {
    **dict.fromkeys(("pulls", "pull", "downloads"), "pulls"),
    **dict.fromkeys(("tags", "tag"), "tags"),
}


def stats_in(pieces: Iterable[str]) -> dict[str, str]:
    """`pulls` and `tags` by the label that follows them, as the site writes them."""
    found: dict[str, str] = {}
    former = ""
    for piece in pieces:
        value, _, label = piece.rpartition(" ")
        label = _LABELS.get(label.lower(), "")
        value = value or former
        if label and count_in(value) is not None:
            found.setdefault(label, value)
        former = piece
    return found


_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"  # three letters each
_MOMENT = re.compile(
    r"([A-Za-z]{3})[a-z]* (\d{1,2}), (\d{4}) (\d{1,2}):(\d\d) ([AP])M UTC", re.ASCII
)


def moment_in(text: str) -> datetime | None:
    """`Jul 1, 2026 4:54 PM UTC`, whatever the language of this process."""
    found = _MOMENT.fullmatch(" ".join(text.split()))
    place = _MONTHS.find(found[1].lower()) if found else -1
    if found is None or place % 3:
        return None
    month = place // 3 + 1
    hour = int(found[4]) % 12 + (12 if found[6] == "P" else 0)
    try:
        return datetime(
            int(found[3]), month, int(found[2]), hour, int(found[5]), tzinfo=UTC
        )
    except ValueError:
        return None


SIZE_LABEL = re.compile(
    r"(?:\d+x)?e?\d+(?:\.\d+)?[bmkt](?:-a\d+(?:\.\d+)?[bm])?", re.ASCII
)
_KNOWN = words_of("tools vision thinking embedding insert audio image")


def badge_kind(node: Node) -> str:
    """`size`, `capability` or `cloud`; empty for what is no badge.

    By its colour, as capabilities are indigo, sizes blue and the cloud cyan; by its
    words where a redesign has taken the colour away: then `7b` is a size and `55.7M`
    is none, as counts have capital letters.
    """
    text, classes = node.text, node.get("class")
    is_badge = "rounded-md" in classes or "x-test-capability" in node.attributes
    if text.lower() == "cloud" or (is_badge and "cyan" in classes):
        return "cloud"
    if "x-test-size" in node.attributes or SIZE_LABEL.fullmatch(text):
        return "size"
    if not is_badge:
        return "capability" if text.lower() in _KNOWN else ""
    if "indigo" not in classes and ("#ddf4ff" in classes or "blue" in classes):
        return "size"
    return "capability"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What the texts of a tag's row say; empty and None where they do not."""

    digest: str = ""
    size_bytes: int | None = None
    context_length: int | None = None
    inputs: tuple[str, ...] = ()


_DIGEST = re.compile(r"(?<![\w:.-])[0-9a-f]{12}(?![\w:.-])", re.ASCII)
_BYTES = re.compile(r"(?<![\w:.-])(\d{1,6}(?:\.\d{1,3})?) ?([KMGT]B)(?!\w)", re.ASCII)
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_TOKENS = r"(\d{1,9}(?:\.\d{1,3})?)([KM]?)"
_CONTEXT = re.compile(rf"(?<![\w:.-]){_TOKENS} context window", re.ASCII)
_CONTEXT_CELL = re.compile(_TOKENS, re.ASCII)
_INPUT = "Text|Image|Audio|Video"
_INPUTS = re.compile(rf"(?<![\w-])(?:{_INPUT})(?:, ?(?:{_INPUT}))*(?![\w-])")


def row_facts(pieces: list[str]) -> RowFacts:
    """What a row tells twice, for narrow screens in one line and for wide in cells."""
    line = " • ".join(pieces)
    digest, size = _DIGEST.search(line), _BYTES.search(line)
    inputs = _INPUTS.search(line)
    return RowFacts(
        digest=digest[0] if digest else "",
        size_bytes=int(Decimal(size[1]) * _UNITS[size[2]]) if size else None,
        context_length=_context(pieces, line),
        inputs=tuple(re.split(r", ?", inputs[0])) if inputs else (),
    )


def _context(pieces: list[str], line: str) -> int | None:
    found = _CONTEXT.search(line)
    if found is None:  # the cell after that of the size
        cells = (
            _CONTEXT_CELL.fullmatch(after)
            for cell, after in pairwise(pieces)
            if _BYTES.fullmatch(cell)
        )
        found = next(filter(None, cells), None)
    if found is None:
        return None
    step = {"": 1, "K": 1024, "M": 1024**2}[found[2]]
    return int(Decimal(found[1]) * step) or None


_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_PARAGRAPHS = words_of("p li pre tr blockquote div") | _HEADINGS.keys()


def plain_markdown(part: Node) -> str:
    """What is shown of a readme, as paragraphs, headings and lists without links."""
    lines = [""]
    for thing in part.walk():
        if isinstance(thing, Node):
            if thing.tag in _PARAGRAPHS:
                start = "- " if thing.tag == "li" else _HEADINGS.get(thing.tag, "")
                lines.append(start)
        elif text := " ".join(thing.split()):
            is_begun = lines[-1] and not lines[-1].endswith(" ")
            lines[-1] += (" " if is_begun else "") + text
    return "\n\n".join(line for line in lines if line.strip(" -#"))
