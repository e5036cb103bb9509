"""Runtimes, activations, keys and people for staff.

A stored secret is shown as «set» and never leaves. Keys are made by
`manage.py create_api_key`, which alone can show one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from runtime_app.governance import keys
from runtime_app.models import (
    Activation,
    Alert,
    ApiKey,
    MachineSample,
    Runtime,
    RuntimeSample,
    Trial,
    TriggerPhrase,
)
from venom_site.lib.access import Principal, Scope
from venom_site.lib.admin_base import (
    BaseAdmin,
    ReadOnlyAdmin,
    ScopedMixin,
    ago,
    confirm_action,
    pill,
    pretty,
    size,
)
from venom_site.lib.units import milliseconds_text


@admin.register(Runtime)
class RuntimeAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = (
        "display_name",
        "kind",
        "managed_by",
        "base_url",
        "state",
        "version",
        "checked",
    )
    list_select_related = ("node",)
    list_filter = ("status", "kind", "managed_by", "node")
    search_fields = ("^name", "^display_name", "=pid")
    exclude = (
        "served_models",
        "loaded_models",
        "recent_changes",
        "launch",
        "holder",
        "names",
    )
    readonly_fields = (
        "stored_key",
        "shown_models",
        "shown_memory",
        "shown_changes",
        "shown_launch",
        "shown_holder",
        "shown_names",
    )

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: Runtime) -> SafeString:
        return pill("runtime", row.status)

    @admin.display(description=_("last check"), ordering="last_check_at")
    def checked(self, row: Runtime) -> SafeString:
        return ago(row.last_check_at)

    @admin.display(description=_("key"))
    def stored_key(self, row: Runtime) -> str:
        return gettext("set") if row.encrypted_key else gettext("none")

    @admin.display(description=_("models"))
    def shown_models(self, row: Runtime) -> SafeString:
        return pretty(row.served_models)

    @admin.display(description=_("in memory"))
    def shown_memory(self, row: Runtime) -> SafeString:
        return pretty(row.loaded_models)

    @admin.display(description=_("recent changes"))
    def shown_changes(self, row: Runtime) -> SafeString:
        return pretty(row.recent_changes)

    @admin.display(description=_("started with"))
    def shown_launch(self, row: Runtime) -> SafeString:
        return pretty(row.launch)

    @admin.display(description=_("who holds its port"))
    def shown_holder(self, row: Runtime) -> SafeString:
        return pretty(row.holder)

    @admin.display(description=_("compared names"))
    def shown_names(self, row: Runtime) -> SafeString:
        return pretty(row.names)


@admin.register(Activation)
class ActivationAdmin(ReadOnlyAdmin):
    list_display = ("model_name", "runtime", "node", "state", "activated_by", "since")
    list_select_related = ("runtime", "node")
    list_filter = ("state", "runtime", "node")
    search_fields = ("^model_name", "^activated_by")

    @admin.display(description=_("since"), ordering="activated_at")
    def since(self, row: Activation) -> SafeString:
        return ago(row.activated_at)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = ("sentence", "shown", "code", "count", "node", "seen")
    list_filter = ("state", "severity", "code", "runtime", "node")
    search_fields = ("^model", "^runtime", "=request_id")

    @admin.display(description=_("state"), ordering="state")
    def shown(self, row: Alert) -> SafeString:
        return pill("alert", row.severity if row.is_loud else row.shown_state)

    @admin.display(description=_("last seen"), ordering="last_seen_at")
    def seen(self, row: Alert) -> SafeString:
        return ago(row.last_seen_at)


@admin.register(RuntimeSample)
class RuntimeSampleAdmin(ReadOnlyAdmin):
    list_display = (
        "runtime",
        "taken",
        "seconds",
        "state",
        "latency",
        "memory",
        "requests_running",
    )
    list_select_related = ("runtime",)
    list_filter = ("runtime", "status", "seconds")
    search_fields = ("^runtime__name",)

    @admin.display(description=_("at"), ordering="at")
    def taken(self, row: RuntimeSample) -> SafeString:
        return ago(row.at)

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: RuntimeSample) -> SafeString:
        return pill("runtime", row.status)

    @admin.display(description=_("latency"), ordering="latency_ms")
    def latency(self, row: RuntimeSample) -> str:
        return milliseconds_text(row.latency_ms)

    @admin.display(description=_("memory"), ordering="memory_bytes")
    def memory(self, row: RuntimeSample) -> str:
        return size(row.memory_bytes)


@admin.register(MachineSample)
class MachineSampleAdmin(ReadOnlyAdmin):
    list_display = ("node", "taken", "seconds", "cpu_percent", "used", "total")
    list_select_related = ("node",)
    list_filter = ("node", "seconds")
    search_fields = ("^node__name",)
    exclude = ("gpus",)
    readonly_fields = ("shown_gpus",)

    @admin.display(description=_("at"), ordering="at")
    def taken(self, row: MachineSample) -> SafeString:
        return ago(row.at)

    @admin.display(description=_("memory used"), ordering="memory_used_bytes")
    def used(self, row: MachineSample) -> str:
        return size(row.memory_used_bytes)

    @admin.display(description=_("memory in all"), ordering="memory_total_bytes")
    def total(self, row: MachineSample) -> str:
        return size(row.memory_total_bytes)

    @admin.display(description=_("GPUs"))
    def shown_gpus(self, row: MachineSample) -> SafeString:
        return pretty(row.gpus)


@admin.register(Trial)
class TrialAdmin(ReadOnlyAdmin):
    list_display = (
        "model_name",
        "runtime",
        "node",
        "ttft_seconds",
        "output_tokens_per_second",
        "tried",
    )
    list_select_related = ("node",)
    list_filter = ("runtime", "node")
    search_fields = ("^model_name", "^revision", "^runtime")
    exclude = ("checks",)
    readonly_fields = ("shown_checks",)

    @admin.display(description=_("tried"), ordering="tried_at")
    def tried(self, row: Trial) -> SafeString:
        return ago(row.tried_at)

    @admin.display(description=_("checks"))
    def shown_checks(self, row: Trial) -> SafeString:
        return pretty(row.checks)


@admin.register(TriggerPhrase)
class TriggerPhraseAdmin(BaseAdmin):
    """Plain words of ours: the only rows that are changed here directly."""

    change_scope = Scope.GOVERN
    list_display = ("phrase", "template", "language")
    list_filter = ("template", "language")
    search_fields = ("phrase",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    view_scope = Scope.GOVERN
    list_display = (
        "name",
        "shown_prefix",
        "scopes",
        "owner",
        "expires_at",
        "used",
        "revoked",
    )
    list_select_related = ("owner",)
    list_filter = ("may_view_payload",)
    search_fields = ("^name", "^prefix")
    exclude = ("prefix",)
    readonly_fields = ("shown_prefix",)
    actions = ("revoke",)

    @admin.display(description=_("key"))
    def shown_prefix(self, row: ApiKey) -> str:
        return f"{row.prefix}…"

    @admin.display(description=_("last used"), ordering="last_used_at")
    def used(self, row: ApiKey) -> SafeString:
        return ago(row.last_used_at)

    @admin.display(description=_("revoked"), boolean=True)
    def revoked(self, row: ApiKey) -> bool:
        return row.revoked_at is not None

    @admin.action(description=_("Revoke the chosen keys"), permissions=["govern"])
    def revoke(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        actor: Principal = request.principal  # type: ignore[attr-defined]
        return confirm_action(
            request,
            rows,
            name="revoke",
            title=gettext("Revoke"),
            apply=lambda row: keys.revoke_key(row.name, actor=actor),
        )


if TYPE_CHECKING:
    StockUserAdmin = UserAdmin[User]
else:
    StockUserAdmin = UserAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(ScopedMixin, StockUserAdmin):
    """Only admins see people; groups carry what each may do."""

    view_scope = Scope.ADMIN


@admin.register(Group)
class PeopleGroupAdmin(ScopedMixin, GroupAdmin):
    view_scope = Scope.ADMIN
