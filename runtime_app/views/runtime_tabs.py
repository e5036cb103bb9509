"""The tabs of a runtime's page: which there are, and what each template is given.

A tab is a link (`?tab=log`) and one template, `_runtime_tab_<key>.html`; its function
takes the row and the query string. Everything is read from rows, but the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from models_app.choices import PROVIDER_RUNTIMES
from models_app.services import catalog_blocks, model_lists
from models_app.services.catalog_rows import Row
from models_app.services.machine import read_memory
from models_app.services.model_filters import ModelFilter
from runtime_app.choices import RuntimeKind
from runtime_app.models import Runtime
from runtime_app.runtimes.server_settings import settings_of
from runtime_app.services import runtime_history, server_log
from runtime_app.views.charts import charts_context

PER_PAGE = 50
OFFERED = 6

Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tab:
    key: str
    title: Promise | str
    context: Callable[[Runtime, QueryDict], Context]
    is_live: bool = True  # fetched again as a whole; not where somebody types

    @property
    def template(self) -> str:
        return f"runtime_app/_runtime_tab_{self.key}.html"


def tabs_of(runtime: Runtime) -> list[Tab]:
    """Those that this row has, in order; the first is the page itself."""
    return [tab for tab in TABS if tab.key not in _lacking(runtime)]


def _lacking(runtime: Runtime) -> frozenset[str]:
    """A server that was added by hand keeps log and settings to itself."""
    is_added = runtime.kind == RuntimeKind.OPENAI_COMPATIBLE
    return frozenset({"log", "settings"} if is_added else ())


def tab_named(key: str, tabs: list[Tab]) -> Tab:
    return next((tab for tab in tabs if tab.key == key), tabs[0])


def _now(runtime: Runtime, _query: QueryDict) -> Context:
    return {}


def _models(runtime: Runtime, query: QueryDict) -> Context:
    """Installed, on their way, and what its source offers that is not here."""
    operations = runtime_history.with_lines(runtime)
    provider = provider_of(runtime)
    context: Context = {
        "operations": operations,
        "is_moving": any(not each.is_finished for each in operations),
        "provider": provider,
    }
    if provider:
        context |= _of_provider(provider, query)
    return context


def provider_of(runtime: Runtime) -> str:
    """Who delivers its models; empty for a server added by hand."""
    kinds = {kind: provider for provider, kind in PROVIDER_RUNTIMES.items()}
    return kinds.get(runtime.kind, "")


def _of_provider(provider: str, query: QueryDict) -> Context:
    wanted = query.get("page", "")
    page = model_lists.list_rows(
        ModelFilter(provider=provider),
        page=int(wanted) if wanted.isdecimal() and len(wanted) < 7 else 1,
        per_page=PER_PAGE,
    )
    return {
        "page": page,
        "downloads": [row.operation for row in page.rows if row.model is None],
        "rows": [row for row in page.rows if row.model is not None],
        "machine": read_memory(),
        "offers": _offers(provider),
    }


def _offers(provider: str) -> list[Row]:
    """The first of the kept list that are not here; nobody is asked for it now."""
    blocks = catalog_blocks.blocks(catalog_blocks.Wish())
    rows = [row for each in blocks if each.source == provider for row in each.rows]
    return [row for row in rows if not row.installed][:OFFERED]


def _charts(runtime: Runtime, query: QueryDict) -> Context:
    return charts_context(runtime, query.get("span", ""))


def _log(runtime: Runtime, query: QueryDict) -> Context:
    """The filter stands in the address, so that a link shows the same lines."""
    level, words = query.get("level", ""), query.get("q", "")[:100]
    previous = query.get("run") == "previous"
    return {
        "log": server_log.read_log(
            runtime, level=level, words=words, previous=previous
        ),
        "level": level if level in server_log.LEVELS else "",
        "words": words,
        "is_previous": previous,
        "is_followed": query.get("follow") == "1" and not previous,
        "lines_shown": server_log.LINES_SHOWN,
    }


def _settings(runtime: Runtime, _query: QueryDict) -> Context:
    return {"settings_shown": settings_of(runtime)}


def _history(runtime: Runtime, _query: QueryDict) -> Context:
    return {
        "activations": runtime_history.activations_of(runtime),
        "operations": runtime_history.operations_on(runtime),
    }


TABS = (
    Tab("now", _("Now"), _now),
    Tab("models", _("Models"), _models),
    Tab("charts", _("Charts"), _charts, is_live=False),
    Tab("log", _("Log"), _log, is_live=False),
    Tab("settings", _("Settings"), _settings),
    Tab("history", _("History"), _history),
)
