"""`manage.py sanitise_history [--dry-run]`: mend old or foreign rows of the history."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from history_app.services.sanitise import sanitise
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "Mend requests that lack an end or hold impossible values, and mask secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = sanitise(dry_run=options["dry_run"])
        verb = "To mend" if options["dry_run"] else "Mended"
        for wrong, count in sorted(counts.items()):
            self.stdout.write(f"{verb}: {wrong}: {count}")
        if not counts:
            self.stdout.write("Nothing to mend.")
