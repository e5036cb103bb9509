"""The Hugging Face Hub as a catalogue: what is there, and what one model would cost.

Lists show what vLLM runs, a search whatever there is. Details read the model's own
config.json for its figures and its README for people; neither is needed, so a Hub that
fails half-way still gives sizes and licence. Nothing is kept here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

from models_app.providers import huggingface_listed as shown
from models_app.providers import huggingface_words as words
from models_app.providers.base import AccessDenied, GatedModel
from models_app.providers.catalogue import Access, Details, ListPage
from models_app.providers.figures import Config
from models_app.providers.huggingface_files import choose_files
from venom_site.clients.huggingface import (
    HubClient,
    HubPage,
    HubRefused,
    HubRepo,
)
from venom_site.lib.errors import VenomError, WireError

TOTAL_SECONDS = 14.0  # of all calls for one answer
FIRST_SECONDS = 8.0  # of the one that nothing goes without
LEAST_SECONDS = 0.5
CONFIG_BYTES, CARD_BYTES = 2_000_000, 500_000
RUNTIME = "vllm"
SORTS = {
    "": "trendingScore",
    "trending": "trendingScore",
    "newest": "createdAt",
    "updated": "lastModified",
    "downloads": "downloads",
    "likes": "likes",
}
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md")
Result = TypeVar("Result")


class HuggingFaceCatalogue:
    """One endpoint and one token; kept between calls, safe from several threads."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        self.source = urlsplit(endpoint).netloc
        self._client = HubClient(endpoint, token)

    def trending(self, limit: int) -> ListPage:
        return self._page(
            lambda: self._client.list_models(app=RUNTIME, limit=limit),
        )

    def newest(self, limit: int) -> ListPage:
        return self._page(
            lambda: self._client.list_models(
                app=RUNTIME, sort=SORTS["newest"], limit=limit
            ),
        )

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
        """Names that hold the words; `filters` are tags. ValueError for a sort that
        is none of SORTS."""
        if sort not in SORTS:
            raise ValueError(f"{sort!r} is none of {', '.join(filter(None, SORTS))}.")
        return self._page(
            lambda: self._client.list_models(
                search=query,
                author=author,
                filters=filters,
                sort=SORTS[sort],
                limit=limit,
                cursor=cursor,
            )
        )

    def details(self, name: str, revision: str = "") -> Details:
        """One model at a commit. Only its files must be told; what else the Hub does
        not give in time is left out."""
        ends = time.monotonic() + TOTAL_SECONDS
        repo = self._ask(
            name,
            lambda: self._client.model(name, revision, total_seconds=FIRST_SECONDS),
        )
        access, note = self._access(repo, ends)
        choice = choose_files(repo.files, repo.id)
        config = self._config(repo, ends) if access is Access.OPEN else None
        return Details(
            listed=shown.listed_of(repo, self._client.page_url(repo.id)),
            revision=repo.commit,
            access=access,
            access_note=note,
            license_url=self._licence_page(repo),
            architectures=repo.architectures,
            variants=(shown.variant_of(repo, choice, config),),
            card=without_header(self._text(repo, "README.md", CARD_BYTES, ends)),
        )

    def _page(self, call: Callable[[], HubPage]) -> ListPage:
        page = self._ask("", call)
        page_url = self._client.page_url
        items = [shown.listed_of(model, page_url(model.id)) for model in page.items]
        return ListPage(items=tuple(items), next_cursor=page.next_cursor)

    def _access(self, repo: HubRepo, ends: float) -> tuple[Access, str]:
        """Whether its bytes are for us, and what to do where they are not."""
        page = self._client.page_url(repo.id)
        if repo.is_disabled:
            return Access.DENIED, f"{self.source} has switched {repo.id} off."
        if not repo.gated:
            return Access.OPEN, ""
        if not self._client.has_token():
            return Access.TOKEN_MISSING, (
                f"{repo.id} is given only to those who accepted its licence. Add a "
                f"token (HF_TOKEN), accept the licence at {page}, then check again."
            )
        try:
            self._client.check_access(repo.id, total_seconds=_left(ends))
        except HubRefused as error:
            return _denied(error, repo.id, page)
        except WireError as error:
            return Access.OPEN, f"Whether it is given to us is not known. {error}"
        return Access.OPEN, ""

    def _config(self, repo: HubRepo, ends: float) -> Config | None:
        try:
            config = json.loads(self._text(repo, "config.json", CONFIG_BYTES, ends))
        except (ValueError, RecursionError):
            return None
        return config if isinstance(config, dict) else None

    def _text(self, repo: HubRepo, path: str, limit_bytes: int, ends: float) -> str:
        """A file of the model as text; empty where it has none or gives none."""
        if not any(file.path == path for file in repo.files):
            return ""
        with suppress(WireError):
            raw = self._client.read_file(
                repo.id,
                repo.commit,
                path,
                limit_bytes=limit_bytes,
                total_seconds=_left(ends),
            )
            return raw.decode("utf-8", "replace")
        return ""

    def _licence_page(self, repo: HubRepo) -> str:
        paths = {file.path for file in repo.files}
        found = next((path for path in LICENCE_FILES if path in paths), "")
        page = f"{self._client.page_url(repo.id)}/blob/{repo.commit}/{found}"
        return repo.license_url or (page if found else "")

    def _ask(self, name: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except WireError as error:
            raise self._refusal(error, name) from error

    def _refusal(self, error: WireError, name: str) -> VenomError:
        page = self._client.page_url(name) if name else self.source
        refusal = words.hub_refusal(
            error, name or self.source, page, has_token=self._client.has_token()
        )
        # A list or a card behind a gate is no conflict with anything of ours.
        return (
            AccessDenied(str(refusal)) if isinstance(refusal, GatedModel) else refusal
        )


def without_header(card: str) -> str:
    """A README without the YAML that stands between `---` at its top."""
    text = card.replace("\r\n", "\n").lstrip("\ufeff\n ")
    if not text.startswith("---\n"):
        return text
    _header, end, rest = f"{text[4:]}\n".partition("\n---\n")
    return rest.strip("\n") if end else text


def _denied(error: HubRefused, name: str, page: str) -> tuple[Access, str]:
    if error.case == "gated":
        return Access.LICENCE_MISSING, (
            f"{name} is given only to those who accepted its licence, and the owner of "
            f"our token has not. Accept it at {page}, then check again."
        )
    if error.case == "busy":
        return Access.OPEN, f"Whether it is given to us is not known. {error}"
    return Access.DENIED, f"{error} Its page says more: {page}."


def _left(ends: float) -> float:
    return max(LEAST_SECONDS, ends - time.monotonic())
