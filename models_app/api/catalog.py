"""Catalogues for programs: what could be installed, from kept copies.

A source that is away is no reason for an error as long as there is a copy of what it
said; without one the answer is 502 and names what went wrong.
"""

from __future__ import annotations

from typing import Any

from ninja import Query, Router

from models_app.choices import CatalogSource
from models_app.schemas.catalog import (
    CatalogAnswer,
    LibraryQuery,
    ProvidersAnswer,
    ProvidersQuery,
    SearchQuery,
    TrendingQuery,
    freshness_payload,
    listed_payload,
)
from models_app.services import catalog, catalog_rows
from models_app.services.catalog import Answer
from models_app.services.catalog_rows import Held
from models_app.services.fit import fit_payload
from models_app.services.machine import Machine, read_machine
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.get("/providers", response=ProvidersAnswer, summary="Models of every source")
def list_providers(
    request: VenomRequest, query: Query[ProvidersQuery]
) -> dict[str, Any]:
    """What is popular, or what a search finds; of all sources, or of one."""
    _allow(request, refresh=query.refresh)
    answers = catalog.providers_list(
        query.provider or "", query.search, query.limit, refresh=query.refresh
    )
    return _together(answers, provider=query.provider)


@router.get("/trending", response=CatalogAnswer, summary="What is popular there")
def list_trending(request: VenomRequest, query: Query[TrendingQuery]) -> dict[str, Any]:
    _allow(request, refresh=query.refresh)
    answer = catalog.trending(
        query.provider,
        query.limit,
        newest=query.sort == "newest",
        refresh=query.refresh,
    )
    return _one(answer)


@router.get("/search", response=CatalogAnswer, summary="Search one source")
def search_models(request: VenomRequest, query: Query[SearchQuery]) -> dict[str, Any]:
    _allow(request, refresh=query.refresh)
    answer = catalog.search(
        query.provider,
        query.query,
        limit=query.limit,
        cursor=query.cursor,
        author=query.author,
        filters=tuple(filter(None, query.filter)),
        sort=query.sort or "",
        refresh=query.refresh,
    )
    return _one(answer)


@router.get("/ollama/catalog", response=CatalogAnswer, summary="The Ollama library")
def ollama_catalog(request: VenomRequest, query: Query[LibraryQuery]) -> dict[str, Any]:
    _allow(request, refresh=query.refresh)
    return _one(
        catalog.ollama_catalog(query.search, query.limit, refresh=query.refresh)
    )


def _allow(request: VenomRequest, *, refresh: bool) -> None:
    """Reading is for readers; having a foreign host asked is for operators."""
    require(request.principal, Scope.OPERATE if refresh else Scope.READ)
    catalog.refuse_without_models()


def _one(answer: Answer) -> dict[str, Any]:
    if not answer.has_copy:
        raise catalog.refusal_of(answer.kept)
    models = _models(answer, catalog_rows.held_here(), read_machine())
    return {
        "provider": answer.source,
        "models": models,
        "count": len(models),
        "next": answer.next_cursor or None,
    } | freshness_payload(answer)


def _models(answer: Answer, held: Held, machine: Machine) -> list[dict[str, Any]]:
    note = catalog.note_of(answer.source)
    rows = catalog_rows.rows_of(answer, held, machine)
    return [
        listed_payload(row, note=note, fit=fit_payload(row.fit) if row.fit else None)
        for row in rows
    ]


def _together(answers: list[Answer], *, provider: str | None) -> dict[str, Any]:
    """Several sources in one list: as good as the worst of them, which is named."""
    having = [answer for answer in answers if answer.has_copy]
    if not having:
        raise catalog.refusal_of(answers[0].kept)
    here = catalog_rows.held_here(), read_machine()
    models = [model for answer in having for model in _models(answer, *here)]
    told = [{"provider": each.source} | freshness_payload(each) for each in answers]
    worst = max(told, key=lambda each: (bool(each["error"]), each["stale"]))
    fetched = min(each["fetched_at"] for each in told if each["fetched_at"])
    return {
        "provider": provider,
        "models": models,
        "count": len(models),
        "sources": told,
    } | {
        "stale": worst["stale"],
        "error": _error(worst),
        "error_code": worst["error_code"],
        "next_try_at": worst["next_try_at"],
        "fetched_at": fetched,
    }


def _error(told: dict[str, Any]) -> str | None:
    """With the source's name in front: the list is of several."""
    if not told["error"]:
        return None
    return f"{CatalogSource(told['provider']).label}: {told['error']}"
