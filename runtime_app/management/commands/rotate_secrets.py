"""`manage.py rotate_secrets`: encrypt every stored secret with the first key.

To change keys: put the new one first in VENOM_ENCRYPTION_KEYS, restart, run this, then
take the old one out.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from runtime_app.governance import credentials
from venom_site.lib.access import SYSTEM
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "Encrypt every stored secret anew with the first of VENOM_ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        done, closed = credentials.rotate(actor=SYSTEM)
        self.stdout.write(f"Encrypted anew: {done}.")
        if closed:
            raise CommandError(
                f"No key opens the secrets of {', '.join(closed)}. Give the old key in "
                "VENOM_ENCRYPTION_KEYS, or enter them again."
            )
