"""`manage.py create_api_key NAME --scope S`: make a key and print it once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from runtime_app.governance import keys, links
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.commands import ProductCommand
from venom_site.lib.units import iso

MOST_DAYS = 3650


class Command(ProductCommand):
    help = "Make a key for a program. It is printed once and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="What the key is for.")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            help="inference, read, operate, govern or admin; may be repeated.",
        )
        parser.add_argument("--expires-days", type=int, help="Days until it ends.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = _scopes(options["scope"])
        expires_at = _expiry(options["expires_days"])
        row, key = keys.create_key(
            options["name"],
            scopes,
            actor=SYSTEM,
            expires_at=expires_at,
            owner=links.owner(),
        )
        if options["json"]:
            self.stdout.write(_as_json(row.name, row.scopes, key, expires_at))
            return
        self.stderr.write(f"Key {row.name} ({', '.join(row.scopes)}), shown only now:")
        self.stdout.write(key)


def _as_json(
    name: str, scopes: list[str], key: str, expires_at: datetime | None
) -> str:
    made = {"name": name, "scopes": scopes, "key": key, "expires_at": iso(expires_at)}
    return json.dumps({"success": True} | made)


def _scopes(given: list[str]) -> list[Scope]:
    known = ", ".join(Scope)
    if not given:
        raise CommandError(f"Say what the key may do: --scope with one of {known}.")
    unknown = [word for word in given if word not in set(Scope)]
    if unknown:
        raise CommandError(
            f"There is no scope called {', '.join(unknown)}. Known are {known}."
        )
    return [Scope(word) for word in given]


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= MOST_DAYS:
        raise CommandError(f"--expires-days must be between 1 and {MOST_DAYS}.")
    return timezone.now() + timedelta(days=days)
