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
from runtime_app.models import Activation, ApiKey, Runtime
from venom_site.lib.access import Principal, Scope
from venom_site.lib.admin_base import (
    ReadOnlyAdmin,
    ScopedMixin,
    ago,
    confirm_action,
    pill,
    pretty,
)


@admin.register(Runtime)
class RuntimeAdmin(ReadOnlyAdmin):
    in_console = True
    list_display = ("display_name", "kind", "base_url", "state", "version", "checked")
    list_select_related = ("node",)
    list_filter = ("status", "kind", "node")
    search_fields = ("^name", "^display_name")
    exclude = ("served_models", "recent_changes")
    readonly_fields = ("stored_key", "shown_models", "shown_changes")

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

    @admin.display(description=_("recent changes"))
    def shown_changes(self, row: Runtime) -> SafeString:
        return pretty(row.recent_changes)


@admin.register(Activation)
class ActivationAdmin(ReadOnlyAdmin):
    list_display = ("model_name", "runtime", "node", "state", "activated_by", "since")
    list_select_related = ("runtime", "node")
    list_filter = ("state", "runtime", "node")
    search_fields = ("^model_name", "^activated_by")

    @admin.display(description=_("since"), ordering="activated_at")
    def since(self, row: Activation) -> SafeString:
        return ago(row.activated_at)


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
