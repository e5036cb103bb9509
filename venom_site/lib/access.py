"""Who asks and what they may do: `Principal`, scopes, `require()`.

Scopes are the contract's (§4): read < operate < govern < admin, each including the
ones before it; `inference` stands apart. Who turns a key or a session into a
`Principal` is `runtime_app.governance.keys`, plugged in by the wiring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeVar

from django.utils.translation import gettext as _

from venom_site.lib.errors import ScopeMissing, Unauthorized


class Scope(StrEnum):
    INFERENCE = "inference"
    READ = "read"
    OPERATE = "operate"
    GOVERN = "govern"
    ADMIN = "admin"


_LADDER = (Scope.READ, Scope.OPERATE, Scope.GOVERN, Scope.ADMIN)

GROUPS: dict[str, Scope] = {
    "Viewer": Scope.READ,
    "Operator": Scope.OPERATE,
    "Governor": Scope.GOVERN,
    "Admin": Scope.ADMIN,
}


def expand(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """A scope with all it includes: `{operate}` → `{read, operate}`."""
    held = set(scopes)
    for rank, scope in enumerate(_LADDER):
        if scope in scopes:
            held.update(_LADDER[: rank + 1])
    return frozenset(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The one who asks: a person (session), a program (key) or the product itself."""

    kind: Literal["user", "key", "system"]
    identifier: str
    name: str
    scopes: frozenset[Scope]
    may_view_payload: bool = False

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes

    @property
    def permission_set(self) -> str:
        """A short stable text: viewers with the same one see the same fragments."""
        payload = "+view_payload" if self.may_view_payload else ""
        return ",".join(sorted(self.scopes)) + payload


SYSTEM = Principal(
    kind="system",
    identifier="system",
    name="system",
    scopes=expand(frozenset({Scope.ADMIN, Scope.INFERENCE})),
    may_view_payload=True,
)


def require(principal: Principal | None, scope: Scope) -> Principal:
    """Return the principal when it holds `scope`; else 401 or 403 naming the scope."""
    if principal is None:
        raise Unauthorized
    if not principal.has(scope):
        raise ScopeMissing(
            _("This needs the scope “%(scope)s”, which %(name)s does not have.")
            % {"scope": scope.value, "name": principal.name},
            required_scope=scope.value,
        )
    return principal


View = TypeVar("View", bound=Callable[..., Any])


def needs(scope: Scope) -> Callable[[View], View]:
    """Mark a page view with the scope it needs; the middleware enforces it."""

    def mark(view: View) -> View:
        view.required_scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def open_to_all(view: View) -> View:
    """Mark a page that also answers people who are not signed in."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view
