"""Every address of the product, found by walking the resolver."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

_PLACE = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>|\(\?P<([a-z_]+)>[^)]*\)")
_CLEAN = re.compile(r"[\^$\\?]|\\Z")


@dataclass(frozen=True)
class Address:
    """`route` is what the contract would write: `/operations/<pk>/`."""

    route: str

    def with_value(self, value: str) -> str:
        return re.sub(r"<[a-z_]+>", value, self.route)

    def with_each_of(self, values: Iterable[str]) -> list[str]:
        """Each address once: one without a place is the same with every value."""
        return list(dict.fromkeys(map(self.with_value, values)))

    @property
    def is_api(self) -> bool:
        return self.route.startswith("/api/v1/") or self.route == "/metrics"

    @property
    def is_admin(self) -> bool:
        return self.route.startswith("/admin/")


def every_address() -> list[Address]:
    routes = {_readable(route) for route in _routes(get_resolver())}
    return [Address(route) for route in sorted(routes)]


def _routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        else:
            yield from _routes(entry, route)


def _readable(route: str) -> str:
    return _CLEAN.sub("", _PLACE.sub(lambda m: f"<{m[1] or m[2]}>", route))


UNKNOWN_ID = str(uuid.UUID(int=7))
GARBAGE = ("%00", "%F0%9F%92%A9", "..", "a'b\"c", "-1", "9" * 40, "x" * 300)
