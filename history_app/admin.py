"""Requests and audit for staff: read-only, retention is the only thing that deletes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from history_app.models import AuditEntry, RequestRecord
from venom_site.lib.access import Principal
from venom_site.lib.admin_base import ReadOnlyAdmin, ago, pill, pretty

CONTENTS = ("prompt_preview", "answer_preview")


@admin.register(RequestRecord)
class RequestRecordAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = (
        "request_id",
        "state",
        "llm_provider",
        "llm_model",
        "duration_seconds",
        "input_tokens",
        "output_tokens",
        "key_name",
        "created",
    )
    # Only fixed choices: a filter by provider would look for its values in every row.
    list_filter = ("status", "created_at", "fallback", "partial", "stream")
    search_fields = ("=request_id", "^llm_model", "^key_name")
    search_help_text = _("Request id, beginning of a model or of who asked.")
    exclude = ("parameters", "trace", "process")
    readonly_fields = ("shown_parameters", "shown_trace")

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Contents only for those who may read them."""
        principal: Principal | None = getattr(request, "principal", None)
        may_view = principal is not None and principal.may_view_payload
        return self.exclude if may_view else (*self.exclude, *CONTENTS)

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: RequestRecord) -> SafeString:
        return pill("request", row.status)

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, row: RequestRecord) -> SafeString:
        return ago(row.created_at)

    @admin.display(description=_("parameters"))
    def shown_parameters(self, row: RequestRecord) -> SafeString:
        return pretty(row.parameters)

    @admin.display(description=_("trace"))
    def shown_trace(self, row: RequestRecord) -> SafeString:
        return pretty(row.trace)


class ChannelFilter(admin.SimpleListFilter):
    """The doors are few and known; Django would look for them in every row."""

    title = _("channel")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, page: Any) -> list[tuple[str, str]]:
        return [(door, door) for door in ("page", "api", "admin", "cli", "worker")]

    def queryset(
        self, request: HttpRequest, rows: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        door = self.value()
        return rows.filter(channel=door) if door else rows


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("moment", "actor", "verb", "object_name", "channel", "object_id")
    list_display_links = ("moment", "verb")
    list_filter = (ChannelFilter, "at")
    search_fields = ("^actor", "^verb", "=object_id", "^object_name", "=request_id")
    search_help_text = _("Beginning of an actor, verb or object; an id in full.")
    exclude = ("before", "after")
    readonly_fields = ("shown_before", "shown_after")

    @admin.display(description=_("at"), ordering="at")
    def moment(self, row: AuditEntry) -> SafeString:
        return ago(row.at)

    @admin.display(description=_("before"))
    def shown_before(self, row: AuditEntry) -> SafeString:
        return pretty(row.before)

    @admin.display(description=_("after"))
    def shown_after(self, row: AuditEntry) -> SafeString:
        return pretty(row.after)
