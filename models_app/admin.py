"""Nodes and operations for staff: read-only, with the console's own actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_app.models import Node, Operation, OperationLogLine
from models_app.services import operations
from venom_site.lib.access import Principal
from venom_site.lib.admin_base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    ago,
    confirm_action,
    pill,
    pretty,
    size,
)

LAST_LINES = 50


class LogLineInline(ReadOnlyInline):
    model = OperationLogLine
    fields = ("at", "level", "line")
    readonly_fields = fields
    verbose_name_plural = _("log, the last 50 lines")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperationLogLine]:
        """By their ids: Django narrows this to the operation, which a slice forbids."""
        match = request.resolver_match
        owner = str(match.kwargs["object_id"]) if match else ""
        rows = OperationLogLine.objects.filter(operation_id=owner).order_by("-id")
        newest = list(rows.values_list("pk", flat=True)[:LAST_LINES])
        return OperationLogLine.objects.filter(pk__in=newest)


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = (
        "title",
        "state",
        "share",
        "done",
        "node",
        "started_by",
        "attempts",
        "created",
    )
    list_display_links = ("title",)
    list_select_related = ("node",)
    list_filter = ("status", "operation_type", "created_at", "node")
    search_fields = ("=id", "^model_name", "^started_by", "=request_id")
    search_help_text = _("Id, request id, beginning of a model or of a name.")
    exclude = ("params", "checkpoint")
    readonly_fields = ("shown_params", "shown_checkpoint")
    inlines = (LogLineInline,)
    actions = ("cancel", "retry")

    @admin.display(description=_("operation"))
    def title(self, row: Operation) -> str:
        return row.title

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: Operation) -> SafeString:
        return pill("operation", "stalled" if row.is_stalled else row.status)

    @admin.display(description=_("progress"), ordering="progress")
    def share(self, row: Operation) -> str:
        return f"{row.progress:.0f} %"

    @admin.display(description=_("bytes"))
    def done(self, row: Operation) -> str:
        return size(row.bytes_done)

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, row: Operation) -> SafeString:
        return ago(row.created_at)

    @admin.display(description=_("parameters"))
    def shown_params(self, row: Operation) -> SafeString:
        return pretty(row.params)

    @admin.display(description=_("checkpoint"))
    def shown_checkpoint(self, row: Operation) -> SafeString:
        return pretty(row.checkpoint)

    @admin.action(
        description=_("Cancel the chosen operations"), permissions=["operate"]
    )
    def cancel(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        actor = _actor(request)
        return confirm_action(
            request,
            rows,
            name="cancel",
            title=gettext("Cancel"),
            apply=lambda row: operations.cancel_operation(row, actor=actor),
        )

    @admin.action(description=_("Retry the chosen operations"), permissions=["operate"])
    def retry(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        actor = _actor(request)
        return confirm_action(
            request,
            rows,
            name="retry",
            title=gettext("Retry"),
            apply=lambda row: operations.retry_operation(row, actor=actor),
        )


def _actor(request: HttpRequest) -> Principal:
    principal: Principal = request.principal  # type: ignore[attr-defined]
    return principal


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = ("name", "version", "seen", "created_at")
    search_fields = ("^name",)
    exclude = ("capacity",)
    readonly_fields = ("shown_capacity",)

    @admin.display(description=_("last seen"), ordering="last_seen_at")
    def seen(self, row: Node) -> SafeString:
        return ago(row.last_seen_at)

    @admin.display(description=_("capacity"))
    def shown_capacity(self, row: Node) -> SafeString:
        return pretty(row.capacity)
