"""A catalogue in memory that is plugged in as a real one would be, and lists for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from models_app.providers.base import ModelNotFound
from models_app.providers.catalogue import (
    Access,
    Details,
    Listed,
    ListPage,
    Variant,
)
from models_app.providers.figures import ModelFigures

PAGE = 5


class Shelf:
    """Lists what it holds, in that order; counts what it is asked.

    `trouble` is raised instead of an answer; `before` is called ahead of each.
    """

    def __init__(self, source, items):
        self.source = source
        self.items = list(items)
        self.access = None  # instead of what `details` tells
        self.trouble = None
        self.before = lambda: None
        self.asked = []

    def _answer(self, items, what, cursor="", limit=PAGE):
        self.asked.append(what)
        self.before()
        if self.trouble is not None:
            raise self.trouble
        first = int(cursor or 0)
        rest = len(items) > first + limit
        return ListPage(
            items=tuple(items[first : first + limit]),
            next_cursor=str(first + limit) if rest else "",
        )

    def trending(self, limit):
        return self._answer(self.items, f"trending {limit}", limit=limit)

    def newest(self, limit):
        return self._answer(self.items[::-1], f"newest {limit}", limit=limit)

    def search(self, query, *, limit, cursor="", author="", filters=(), sort=""):
        found = [
            item
            for item in self.items
            if query in item.name.lower()
            and author in item.owner
            and set(filters) <= set(item.tags)
        ]
        what = " ".join(("search", query, author, *filters, sort, cursor)).strip()
        return self._answer(found, what, cursor=cursor, limit=limit)

    def details(self, name, revision=""):
        found = [item for item in self.items if item.name == name]
        self._answer(found, f"details {name} {revision}".strip())
        if not found:
            raise ModelNotFound(f"{self.source} has no model called {name}.")
        told = details(found[0])
        return replace(told, access=self.access or told.access)


def listed(provider, name, **more):
    owner = name.partition("/")[0] if "/" in name else ""
    return Listed(provider=provider, name=name, display_name=name, owner=owner, **more)


def details(item):
    """Every field with something in it, so that a round trip can lose nothing."""
    figures = ModelFigures(
        weights_bytes=3_300_000_000, layers=26, kv_heads=(8, 0), key_length=256
    )
    variant = Variant(
        name=f"{item.name}:4b",
        label="4b",
        size_bytes=3_300_000_000,
        quantization="Q4_K_M",
        figures=figures,
    )
    return Details(
        listed=item,
        revision="a" * 40,
        access=Access.LICENCE_MISSING,
        access_note="Accept the licence first.",
        architectures=("GemmaForCausalLM",),
        variants=(variant, Variant(name="x", label="x", size_bytes=None)),
        card="# A card",
    )


QWEN = listed(
    "ollama",
    "qwen3",
    description="Tools and thinking.",
    capabilities=("tools", "thinking"),
    sizes=("0.6b", "4b", "8b"),
    downloads=2_100_000,
    license="Apache-2.0",
)
GEMMA = listed("ollama", "gemma3", sizes=("4b",), downloads=812_000, license="Gemma")
CLOUD = listed("ollama", "kimi-k2", is_remote=True)
LLAMA = listed(
    "huggingface",
    "meta-llama/Llama-3.2-3B",
    tags=("text-generation", "llama"),
    downloads=9_001,
    likes=77,
    parameters=3_200_000_000,
    parameter_size="3.2B",
    size_bytes=6_430_000_000,
    gated="manual",
    license="llama3.2",
    updated_at=datetime(2026, 10, 1, 12, 30, tzinfo=UTC),
)
SMOL = listed(
    "huggingface",
    "HuggingFaceTB/SmolLM2-135M",
    tags=("text-generation",),
    size_bytes=269_000_000,
    is_exact=True,
    license="apache-2.0",
)
