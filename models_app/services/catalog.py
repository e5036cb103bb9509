"""Lists of models that one could install, and what their sources tell of one.

Everything comes through `kept_answers.py`: a page never waits for a foreign host unless
it says so, and a source that is away shows its last copy. API, pages and the terminal
ask here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.choices import PROFILE_PROVIDERS, CatalogSource
from models_app.providers import base
from models_app.providers.catalogue import Details, Listed
from models_app.providers.catalogues import SOURCES, catalogue_for
from models_app.services import catalog_questions, catalog_shapes
from models_app.services.catalog_questions import Question
from models_app.services.kept_answers import Kept, kept
from venom_site.lib.errors import BadRequest, OutsideProfile, UpstreamFailed
from venom_site.lib.units import iso

__all__ = ["catalogue_for", "details_of", "trending"]

# What a source can refuse with and without a copy of what it said before.
Refusal = UpstreamFailed | base.ModelNotFound | BadRequest
REFUSALS: dict[str, type[Refusal]] = {
    kind.code: kind
    for kind in (
        BadRequest,  # a cursor of another list
        base.AccessDenied,
        base.CatalogueChanged,
        base.ModelNotFound,
        base.ProviderAway,
        base.ProviderFailed,
        base.SourceBusy,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A list of one source. `items` is empty also where there is no copy, which
    `has_copy` tells; `former` are the names of the copy before, in their order."""

    source: str
    items: tuple[Listed, ...]
    kept: Kept
    has_copy: bool
    next_cursor: str = ""
    former: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return str(CatalogSource(self.source).label)


def trending(
    source: str,
    limit: int = 12,
    *,
    newest: bool = False,
    refresh: bool = False,
    wait: bool = True,
) -> Answer:
    """What is asked for most, or the newest, at most `limit` (200) of it."""
    kind = "newest" if newest else "trending"
    question = catalog_questions.trending(source, limit, kind=kind)
    return _list(question, limit=limit, refresh=refresh, wait=wait)


def search(
    source: str,
    query: str,
    *,
    limit: int = 10,
    cursor: str = "",
    author: str = "",
    filters: tuple[str, ...] = (),
    sort: str = "",
    refresh: bool = False,
    wait: bool = True,
) -> Answer:
    """One page of what the source finds; `next_cursor` leads to the next."""
    question = catalog_questions.search(
        source,
        query,
        limit=limit,
        cursor=cursor,
        author=author,
        filters=filters,
        sort=sort,
    )
    return _list(question, limit=limit, refresh=refresh, wait=wait)


def ollama_catalog(
    query: str = "", limit: int = 20, *, refresh: bool = False
) -> Answer:
    """The Ollama library: what a search finds, or the most popular."""
    source = CatalogSource.OLLAMA.value
    if query.strip():
        return search(source, query, limit=limit, refresh=refresh)
    return trending(source, limit, refresh=refresh)


def providers_list(
    provider: str = "", query: str = "", limit: int = 20, *, refresh: bool = False
) -> list[Answer]:
    """The same of every source, or of one, in the order of the sources."""
    sources = [provider] if provider else list(SOURCES)
    if query.strip():
        return [search(each, query, limit=limit, refresh=refresh) for each in sources]
    return [trending(each, limit, refresh=refresh) for each in sources]


def details_of(
    provider: str, name: str, revision: str = "", *, refresh: bool = False
) -> tuple[Details, Kept]:
    """What the source tells of a model, perhaps from a copy; without one raises what
    the source refused with."""
    question = catalog_questions.details(provider, name, revision)
    answer = _kept(question, refresh=refresh, wait=True)
    details = catalog_shapes.details_of(answer.payload)
    if details is None:
        raise refusal_of(answer)
    return details, answer


def _list(question: Question, *, limit: int, refresh: bool, wait: bool) -> Answer:
    answer = _kept(question, refresh=refresh, wait=wait)
    page = catalog_shapes.page_of(answer.payload)
    items = tuple(item for item in page.items if is_shown(item)) if page else ()
    return Answer(
        source=question.source,
        items=items[:limit],
        kept=answer,
        has_copy=page is not None,
        next_cursor=page.next_cursor if page else "",
        former=catalog_shapes.former_of(answer.payload),
    )


def _kept(question: Question, *, refresh: bool, wait: bool) -> Kept:
    """A copy that another release has kept in another form is asked for again."""
    ask = partial(catalog_questions.ask, question)
    answer = kept(question.source, question.key, ask, refresh=refresh, wait=wait)
    if not wait or refresh or catalog_shapes.is_readable(answer.payload):
        return answer
    return kept(question.source, question.key, ask, refresh=True)


def is_shown(item: Listed) -> bool:
    """With OLLAMA_NO_CLOUD nothing is offered that runs elsewhere."""
    return not (item.is_remote and settings.ENV.OLLAMA_NO_CLOUD)


def refusal_of(answer: Kept) -> Refusal:
    """The named error of a source that never gave a copy."""
    kind = REFUSALS.get(answer.error_code, UpstreamFailed)
    error = kind(answer.error or _("The source gave no answer."))
    if answer.next_try_at is not None:
        left = (answer.next_try_at - timezone.now()).total_seconds()
        error.extras["next_try_at"] = iso(answer.next_try_at)
        error.extras["retry_after"] = max(1, round(left))
    return error


def refuse_without_models() -> None:
    """Raise 403 where the present profile runs no model on this machine at all."""
    if PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        return
    having = [name for name, shown in PROFILE_PROVIDERS.items() if shown]
    raise OutsideProfile(
        _("Profile %(profile)s has no catalogues; they need profile %(others)s.")
        % {"profile": settings.RUNTIME_PROFILE, "others": " / ".join(having)},
        profile=settings.RUNTIME_PROFILE,
        profiles_with_it=having,
    )


def note_of(source: str) -> str:
    """«needs profile full», where a list may be read whose models cannot run here."""
    if source in PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        return ""
    having = [name for name, shown in PROFILE_PROVIDERS.items() if source in shown]
    return _("needs profile %(profile)s") % {"profile": " / ".join(having)}
