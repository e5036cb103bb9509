"""The Ollama library as a catalogue: lists from its pages, sizes from its registry.

The site has no API; a page that changed is `CatalogueChanged`. What the registry does
not say in time is left rounded. Nothing is kept here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.providers import ollama_listed as shown
from models_app.providers import ollama_words as words
from models_app.providers.base import (
    AccessDenied,
    CatalogueChanged,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
)
from models_app.providers.catalogue import Details, Listed, ListPage
from models_app.providers.ollama_asked import ask_about
from venom_site.clients.ollama_library import (
    GAP_SECONDS,
    LibraryRefused,
    OllamaLibraryClient,
)
from venom_site.clients.ollama_library_pages import Card, CardPage, PageChanged
from venom_site.clients.ollama_registry import OllamaRegistryClient
from venom_site.lib.errors import BadRequest, VenomError, WireError

TOTAL_SECONDS = 14.0  # of all calls for one answer
PAGE_SECONDS = 6.0  # of one page, where a second must be read too
MOST_PAGES = 5  # of a search for one answer
_CURSOR = re.compile(r"([1-9]\d{0,4})\.(\d{1,4})", re.ASCII)
CAPABILITIES = ("vision", "tools", "thinking", "embedding", "cloud")
POPULAR, NEWEST = "popular", "newest"
# The library knows two orders; the words are those of every catalogue.
SORTS = {
    "": POPULAR,
    "trending": POPULAR,
    "downloads": POPULAR,
    "likes": POPULAR,
    "newest": NEWEST,
    "updated": NEWEST,
}
Result = TypeVar("Result")


class OllamaCatalogue:
    """One site and one registry; kept between calls, safe from several threads."""

    def __init__(
        self, library_url: str, registry_url: str, *, gap_seconds: float = GAP_SECONDS
    ) -> None:
        self.source = urlsplit(library_url).netloc
        self._library = OllamaLibraryClient(library_url, gap_seconds=gap_seconds)
        self._registry = OllamaRegistryClient(registry_url)

    def close(self) -> None:
        self._library.close()
        self._registry.close()

    def trending(self, limit: int) -> ListPage:
        return self._official(POPULAR, limit)

    def newest(self, limit: int) -> ListPage:
        return self._official(NEWEST, limit)

    def _official(self, sort: str, limit: int) -> ListPage:
        page = self._ask("", lambda: self._library.models(sort=sort))
        return ListPage(items=self._listed(page.cards)[:limit])

    def search(
        self,
        query: str,
        *,
        limit: int,
        cursor: str = "",
        author: str = "",
        filters: tuple[str, ...] = (),
        sort: str = "",
    ) -> ListPage:
        """Names and descriptions with these words; of one user with an `author`.
        `filters` are capabilities and sizes. ValueError for an order not in SORTS."""
        if sort not in SORTS:
            raise ValueError(f"{sort!r} is none of {', '.join(filter(None, SORTS))}.")
        wanted = tuple(word.lower() for word in filters)
        abilities = [word for word in wanted if word in CAPABILITIES]
        ends = time.monotonic() + TOTAL_SECONDS

        def read(page: int) -> CardPage:
            seconds = max(0.5, ends - time.monotonic())
            if author:
                return self._of_user(author, query, SORTS[sort], seconds)
            return self._library.search(
                query,
                sort=SORTS[sort],
                capabilities=abilities,
                page=page,
                seconds=seconds,
            )

        return self._collect(read, limit, cursor, wanted)

    def _of_user(self, user: str, query: str, sort: str, seconds: float) -> CardPage:
        """Nothing where there is no such user."""
        try:
            return self._library.models(
                user=user, query=query, sort=sort, seconds=seconds
            )
        except LibraryRefused as error:
            if error.case != "missing":
                raise
            return CardPage(cards=())

    def _collect(
        self,
        read: Callable[[int], CardPage],
        limit: int,
        cursor: str,
        wanted: tuple[str, ...],
    ) -> ListPage:
        """Pages until there are enough; a cursor is the next page and the place in it.

        Where a later page fails, what came is the answer, and the cursor leads there.
        """
        page, place = _read_cursor(cursor)
        items: list[Listed] = []
        for _turn in range(MOST_PAGES):
            try:
                found = self._ask("", partial(read, page))
            except VenomError:
                if not items:
                    raise
                break
            for at, card in enumerate(found.cards[place:], start=place):
                if len(items) == limit:
                    return ListPage(items=tuple(items), next_cursor=f"{page}.{at}")
                if _has_all(card, wanted):
                    items += self._listed([card])
            if found.next_page is None:
                return ListPage(items=tuple(items))
            page, place = found.next_page, 0
            if len(items) == limit:
                break
        return ListPage(items=tuple(items), next_cursor=f"{page}.0")

    def _listed(self, cards: Iterable[Card]) -> tuple[Listed, ...]:
        no_cloud = settings.ENV.OLLAMA_NO_CLOUD
        return tuple(
            shown.listed_of(card, self._library.url_of(card.name))
            for card in cards
            if not (card.is_cloud_only and no_cloud)
        )

    def details(self, name: str, revision: str = "") -> Details:
        """One model and its tags, that of `name` first where it has one; a tag has no
        revisions. Only the pages must be told; what else nobody gives is left out."""
        ends = time.monotonic() + TOTAL_SECONDS
        model, wanted = _parts(name)
        page = self._ask(
            model, lambda: self._library.model(model, seconds=PAGE_SECONDS)
        )
        rows = self._ask(model, lambda: self._library.tags(model, seconds=PAGE_SECONDS))
        no_cloud = settings.ENV.OLLAMA_NO_CLOUD
        if wanted and wanted not in {row.tag.lower() for row in rows}:
            raise ModelNotFound(
                f"{self.source} has no tag {wanted} of {model}. Choose another."
            )
        offers = [
            offer
            for offer in shown.fold(rows, wanted)
            if not (no_cloud and words.is_cloud_name(f"{model}:{offer.tags[0]}"))
        ]
        if not offers:
            raise ModelNotFound(
                f"{model} runs in Ollama's cloud, which OLLAMA_NO_CLOUD rules out here."
            )
        seen = ask_about(self._registry, model, offers, ends=ends)
        variants = tuple(
            shown.variant_of(model, offer, each, no_cloud=no_cloud)
            for offer, each in zip(offers, seen, strict=True)
        )
        listed = shown.listed_of(page.card, self._library.url_of(model))
        families = [each.figures.architecture for each in variants if each.figures]
        return Details(
            listed=shown.with_first(listed, variants, seen),
            architectures=tuple(dict.fromkeys(filter(None, families))),
            variants=variants,
            card=page.readme,
        )

    def _ask(self, name: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except WireError as error:
            raise self._refusal(error, name) from error

    def _refusal(self, error: WireError, name: str) -> VenomError:
        if isinstance(error, PageChanged):
            return CatalogueChanged(
                f"The pages of {self.source} look different than before. {error} A "
                "newer version of Venom may read them; installing by name still works."
            )
        if isinstance(error, LibraryRefused) and error.case == "busy":
            return SourceBusy(str(error), wait_seconds=error.wait_seconds)
        if isinstance(error, LibraryRefused) and error.case == "denied":
            return AccessDenied(f"{self.source} does not let us in. {error}")
        if isinstance(error, LibraryRefused) and name:
            return ModelNotFound(
                f"{self.source} has no model {name}, or it has moved. Check its name."
            )
        kind = ProviderFailed if error.permanent else ProviderAway
        return kind(f"The pages of {self.source} cannot be read now. {error}")


def _has_all(card: Card, wanted: tuple[str, ...]) -> bool:
    has = {*card.capabilities, *card.sizes, *(["cloud"] if card.has_cloud else [])}
    return has.issuperset(wanted)


def _read_cursor(cursor: str) -> tuple[int, int]:
    """(page, place in it); `BadRequest` for what this catalogue never gave."""
    if not cursor:
        return 1, 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        message = _("This is not a cursor of this list. Start again without one.")
        raise BadRequest(message, errors=[{"loc": "query.cursor", "message": message}])
    return int(found[1]), int(found[2])


def _parts(name: str) -> tuple[str, str]:
    """`qwen3:8B` → (qwen3, 8b): the library's name and the tag, empty without one."""
    try:
        model, _colon, tag = words.canonical_name(name).rpartition(":")
    except ValueError as error:
        raise ModelNotFound(f"{name[:200]!r} {error}.") from None
    if model.count("/") > 1:
        raise ModelNotFound(f"{name} is not a model of the Ollama library.")
    return model, tag.lower() if ":" in name else ""
