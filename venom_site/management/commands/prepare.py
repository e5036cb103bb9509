"""`manage.py prepare`: make the data folder and database ready, print a sign-in link.

The supervisor and the containers call it before every start, so it must be quick when
there is nothing to do: no system checks, no URLs, no migrate command.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from venom_site import diagnosis
from venom_site.lib.commands import ProductCommand

LOCK_SECONDS = 5
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


class Command(ProductCommand):
    help = "Bring the database up to date and print a one-time sign-in link."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-link", action="store_true", help="Print no link.")

    def handle(self, *args: Any, **options: Any) -> None:
        _check_database()
        if diagnosis.unapplied():
            call_command("migrate", verbosity=0, interactive=False)
        _ensure_rows()
        if not options["no_link"]:
            self.stdout.write(f"Sign in: {_link()}")

    def explain(self, error: Exception) -> str:
        return " ".join(diagnosis.explain(error))


def _check_database() -> None:
    """One sentence instead of a traceback, and soon: a lock is not waited for long."""
    diagnosis.connect_plainly(lock_seconds=LOCK_SECONDS)
    finding = diagnosis.database()
    if finding.level == "bad":
        raise CommandError(f"{finding.sentence} {finding.remedy}")


def _ensure_rows() -> None:
    from runtime_app.governance import groups, links
    from runtime_app.services import seeding

    groups.ensure_groups()
    links.forget_old_links()
    seeding.ensure_runtimes()


def _link() -> str:
    """The path is that of the page `welcome`; reading urls.py here would cost 0.3 s."""
    from runtime_app.governance import links

    host = ANY_ADDRESS.get(settings.ENV.VENOM_HOST, settings.ENV.VENOM_HOST)
    place = f"[{host}]" if ":" in host else host
    return f"http://{place}:{settings.ENV.VENOM_PORT}/welcome/{links.create_link()}/"
