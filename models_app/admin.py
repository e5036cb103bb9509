"""Nodes, models and operations for staff: read-only, with the console's actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_app.models import (
    Capabilities,
    CatalogEntry,
    CatalogPause,
    InstalledModel,
    Node,
    Operation,
    OperationLogLine,
)
from models_app.services import operations, remove
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
        return _confirmed(
            request, rows, "cancel", gettext("Cancel"), operations.cancel_operation
        )

    @admin.action(description=_("Retry the chosen operations"), permissions=["operate"])
    def retry(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        return _confirmed(
            request, rows, "retry", gettext("Retry"), operations.retry_operation
        )


def _confirmed(
    request: HttpRequest, rows: Any, name: str, title: str, service: Any
) -> HttpResponse | None:
    """The service, called for each row once somebody has confirmed."""
    actor: Principal = request.principal  # type: ignore[attr-defined]
    return confirm_action(
        request,
        rows,
        name=name,
        title=title,
        apply=lambda row: service(row, actor=actor),
    )


class CapabilitiesInline(ReadOnlyInline):
    model = Capabilities
    verbose_name_plural = _("capabilities")


@admin.register(InstalledModel)
class InstalledModelAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = (
        "name",
        "provider",
        "node",
        "status",
        "bytes",
        "parameter_size",
        "quantization",
        "pinned",
        "installed",
        "used",
    )
    list_select_related = ("node",)
    list_filter = ("status", "provider", "pinned", "is_remote", "node")
    search_fields = ("=id", "^name", "^digest", "^family")
    search_help_text = _("Id, or the beginning of a name, a digest or a family.")
    inlines = (CapabilitiesInline,)
    actions = ("remove",)

    @admin.display(description=_("size"), ordering="size_bytes")
    def bytes(self, row: InstalledModel) -> str:
        return size(row.size_bytes)

    @admin.display(description=_("installed"), ordering="installed_at")
    def installed(self, row: InstalledModel) -> SafeString:
        return ago(row.installed_at)

    @admin.display(description=_("last used"), ordering="last_used_at")
    def used(self, row: InstalledModel) -> SafeString:
        return ago(row.last_used_at)

    @admin.action(description=_("Remove the chosen models"), permissions=["operate"])
    def remove(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        return _confirmed(
            request, rows, "remove", gettext("Remove"), remove.request_remove
        )


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


@admin.register(CatalogEntry)
class CatalogEntryAdmin(ReadOnlyAdmin):
    list_display = ("key", "source", "fetched", "error_code", "failed", "viewed")
    list_filter = ("source", "error_code")
    search_fields = ("=id", "^key")
    search_help_text = _("Id, or the beginning of a question.")
    exclude = ("payload",)
    readonly_fields = ("shown_payload",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogEntry]:
        """A list of answers without what they say, which may be 2 MB each."""
        rows: QuerySet[CatalogEntry] = super().get_queryset(request)
        match = request.resolver_match
        return rows if match and match.kwargs else rows.defer("payload")

    @admin.display(description=_("fetched"), ordering="fetched_at")
    def fetched(self, row: CatalogEntry) -> SafeString:
        return ago(row.fetched_at)

    @admin.display(description=_("failing since"), ordering="failed_at")
    def failed(self, row: CatalogEntry) -> SafeString:
        return ago(row.failed_at)

    @admin.display(description=_("last looked at"), ordering="viewed_at")
    def viewed(self, row: CatalogEntry) -> SafeString:
        return ago(row.viewed_at)

    @admin.display(description=_("answer"))
    def shown_payload(self, row: CatalogEntry) -> SafeString:
        return pretty(row.payload)


@admin.register(CatalogPause)
class CatalogPauseAdmin(ReadOnlyAdmin):
    list_display = ("source", "code", "until", "began", "reason")

    @admin.display(description=_("since"), ordering="since")
    def began(self, row: CatalogPause) -> SafeString:
        return ago(row.since)
