"""`manage.py revoke_api_key NAME`: end a key now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from runtime_app.governance import keys
from venom_site.lib.access import SYSTEM
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "End a key. Gateways refuse it within a second."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name the key was made with.")

    def handle(self, *args: Any, **options: Any) -> None:
        row = keys.revoke_key(options["name"], actor=SYSTEM)
        self.stdout.write(f"Key {row.name} ({row.prefix}…) is revoked.")
