"""The four groups of people and what each may do.

A group's permissions are the scopes of docs/api.md as Django permissions, so the
admin shows and grants them like any other. Made anew after every migrate.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission

from venom_site.lib.access import GROUPS, Scope, expand

PAYLOAD_GROUPS = frozenset({"Governor", "Admin"})


def permission_codes(group: str) -> set[str]:
    """`{"scope_read", …}`, plus `view_payload` for Governor and Admin."""
    codes = {f"scope_{scope.value}" for scope in expand(frozenset({GROUPS[group]}))}
    if group in PAYLOAD_GROUPS:
        codes.add("view_payload")
    if GROUPS[group] is not Scope.READ:
        codes.add("scope_inference")
    return codes


def ensure_groups() -> None:
    """Create missing groups and give them their permissions; takes nothing away."""
    known = {
        permission.codename: permission
        for permission in Permission.objects.filter(
            content_type__app_label="runtime_app"
        )
    }
    for name in GROUPS:
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(
            *(known[code] for code in permission_codes(name) if code in known)
        )
