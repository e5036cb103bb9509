"""What tests of installing do again and again: ask, and be the worker."""

from __future__ import annotations

from models_app import tasks
from models_app.models import Operation
from models_app.services import install
from tests.threads import in_thread
from venom_site.lib.access import SYSTEM


def ask(name: str, **options) -> Operation:
    return install.request_install("ollama", name, actor=SYSTEM, **options)


def carry_out(operation: Operation) -> Operation:
    """Be the worker that the message wakes; returns the row as it is then."""
    tasks.run_install(str(operation.pk))
    operation.refresh_from_db()
    return operation


def begin(operation: Operation):
    """The worker in a thread of its own."""
    return in_thread(tasks.run_install, str(operation.pk))


def lines_of(operation: Operation) -> list[str]:
    return list(operation.lines.values_list("line", flat=True))
