"""The base of our commands: refusals are one sentence, audit rows say `cli`.

Every `management/commands/*.py` of the product derives from `ProductCommand`. It must
stay light to import: `prepare` runs before every start.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from venom_site.lib.errors import VenomError
from venom_site.lib.logging import channel, without_secrets


class ProductCommand(BaseCommand):
    """`handle` may raise what services raise: people read a sentence, scripts the code
    behind it, and the exit code is 1."""

    requires_system_checks: list[str] = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        door = channel.set("cli")
        try:
            return super().execute(*args, **options)
        except VenomError as error:
            raise CommandError(f"{error} ({error.code})") from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(self.explain(error)) from None
        finally:
            channel.reset(door)

    def explain(self, error: Exception) -> str:
        """A database's refusal as a sentence; `doctor` says what to do."""
        reason = without_secrets(str(error)).strip().splitlines() or ["no reason given"]
        return f"The database refused: {reason[0]}. See: python3 manage.py doctor"
