"""The base of every admin page: permissions by scope, bounded lists, small atoms.

Each app's `admin.py` derives from `BaseAdmin` or `ReadOnlyAdmin`. The admin looks and
repairs: state is never changed by saving a field, only by actions that call services.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from venom_site.lib import units
from venom_site.lib.access import Principal, Scope
from venom_site.lib.errors import VenomError
from venom_site.lib.logging import without_secrets
from venom_site.templatetags import atoms

MOST_COUNTED = 5_000

admin.site.site_header = _("Venom administration")
admin.site.site_title = "Venom"
admin.site.index_title = _("Administration")
admin.site.site_url = None  # the header has «Back to console»

if TYPE_CHECKING:
    StockAdmin = admin.ModelAdmin[Any]
    StockInline = admin.TabularInline[Any, Any]
    StockPaginator = Paginator[Any]
else:
    StockAdmin, StockInline = admin.ModelAdmin, admin.TabularInline
    StockPaginator = Paginator


class BoundedPaginator(StockPaginator):
    """Counts at most 5,000 rows: counting a million took 300 ms for every page, and
    nobody pages that far; a filter or a search goes there."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MOST_COUNTED].count())


def holds(request: HttpRequest, scope: Scope) -> bool:
    principal: Principal | None = getattr(request, "principal", None)
    return principal is not None and principal.has(scope)


class ScopedMixin:
    """Django's own permission questions, answered by the scopes of the product."""

    view_scope = Scope.READ
    change_scope = Scope.ADMIN

    def has_module_permission(self, request: HttpRequest) -> bool:
        return holds(request, self.view_scope)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return holds(request, self.view_scope)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return holds(request, self.change_scope)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return holds(request, self.change_scope)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return holds(request, self.change_scope)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return holds(request, Scope.OPERATE)

    def has_govern_permission(self, request: HttpRequest) -> bool:
        return holds(request, Scope.GOVERN)


class BaseAdmin(ScopedMixin, StockAdmin):
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each costs a query over the whole table
    paginator = BoundedPaginator
    in_console = False

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """The console's page of the object, where it has one."""
        return obj.get_absolute_url() if obj is not None and self.in_console else None


class NoChanges:
    """Histories: nobody may add, change or delete, whatever they hold."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(NoChanges, BaseAdmin):
    """What people look at here and change elsewhere, or nowhere."""


class ReadOnlyInline(NoChanges, ScopedMixin, StockInline):
    extra = 0
    can_delete = False


def pill(kind: str, status: str) -> SafeString:
    """The console's pill: an icon and a word; an unknown state is grey."""
    return atoms.status_pill(kind, status)


def ago(moment: datetime | None) -> SafeString:
    """The age, with the exact time as title."""
    if moment is None:
        return format_html("{}", units.NONE)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        atoms.exact(moment),
        atoms.age(moment),
    )


def size(number_of_bytes: float | None) -> str:
    return units.size_text(number_of_bytes)


def link_to(row: models.Model) -> SafeString:
    url = row.get_absolute_url()  # type: ignore[attr-defined]
    return format_html('<a href="{}">{}</a>', url, row)


def pretty(value: Any) -> SafeString:
    """JSON as people read it, folded when long, without anything like a secret."""
    text = without_secrets(json.dumps(value, ensure_ascii=False, indent=2, default=str))
    if text.count("\n") < 12:
        return format_html("<pre>{}</pre>", text)
    title = gettext("Show all")
    return format_html(
        "<details><summary>{}</summary><pre>{}</pre></details>", title, text
    )


def confirm_action(
    request: HttpRequest,
    rows: Iterable[models.Model],
    *,
    name: str,
    title: str,
    apply: Callable[[Any], object],
) -> HttpResponse | None:
    """First a page that lists what the action meets, then the service for each row.

    `apply` is called with a row; what it refuses with a `VenomError` is shown.
    """
    if request.POST.get("confirmed") != "yes":
        context = admin.site.each_context(request) | {
            "title": title,
            "rows": rows,
            "action_name": name,
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return render(request, "admin/confirm_action.html", context)
    for row in rows:
        try:
            apply(row)
        except VenomError as error:
            messages.error(request, f"{row}: {error}")
        else:
            messages.success(request, format_html("{}: {}", title, link_to(row)))
    return None
