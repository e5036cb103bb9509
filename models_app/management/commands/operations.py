"""`manage.py operations [list|show|cancel|retry|probe]`: operations from a terminal.

The same services as pages and API. `--wait` follows an operation until it ends; how
that looks stands in `following.py`.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from models_app.choices import OperationStatus, OperationType
from models_app.management.following import follow, refuse_a_bad_end
from models_app.models import Operation
from models_app.schemas.operations import log_line_payload, operation_payload
from models_app.services import operation_lists, operations, probe
from venom_site.lib.access import SYSTEM
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "List operations, show one, cancel or retry it, or start a self-test."

    def add_arguments(self, parser: ArgumentParser) -> None:
        shared = ArgumentParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="for scripts")
        waiting = ArgumentParser(add_help=False)
        waiting.add_argument("--wait", action="store_true", help="until it ends")
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", parents=[shared], help="newest first")
        listed.add_argument("--status", choices=OperationStatus.values)
        listed.add_argument("--type", choices=OperationType.values)
        listed.add_argument("--limit", type=int, default=20)
        for verb, text in (
            ("show", "one with its log"),
            ("cancel", "end it"),
            ("retry", "queue it again"),
        ):
            one = verbs.add_parser(verb, parents=[shared, waiting], help=text)
            one.add_argument("id")
        probing = verbs.add_parser("probe", parents=[shared, waiting], help="self-test")
        probing.add_argument("seconds", type=int, nargs="?", default=5)
        probing.add_argument("--fail", action="store_true", help="fail half-way")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self._list(options)
        else:
            self._one(options)

    def _list(self, options: dict[str, Any]) -> None:
        page = operation_lists.list_operations(
            limit=max(1, min(200, options["limit"])),
            status=options["status"],
            operation_type=options["type"],
        )
        if options["json"]:
            self._say_json([operation_payload(row) for row in page.items])
            return
        for row in page.items:
            self.stdout.write(f"{row.pk}  {row.status:<12}{row.progress:4.0f} %  {row}")

    def _one(self, options: dict[str, Any]) -> None:
        operation = _chosen(options)
        if options["wait"]:
            operation = follow(operation, self.stderr)
        if options["json"]:
            lines = [log_line_payload(line) for line in operation.log_lines]
            self._say_json({"operation": operation_payload(operation), "log": lines})
        else:
            self._show(operation)
        if options["wait"] and options["verb"] != "cancel":
            refuse_a_bad_end(operation)

    def _show(self, operation: Operation) -> None:
        for name, value in operation_payload(operation).items():
            if value not in (None, ""):
                self.stdout.write(f"{name + ':':<16}{value}")
        for line in operation.log_lines:
            self.stdout.write(f"  {line.at:%H:%M:%S} {line.level:<8}{line.line}")

    def _say_json(self, answer: Any) -> None:
        self.stdout.write(json.dumps(answer, indent=2))


def _chosen(options: dict[str, Any]) -> Operation:
    """The operation that the verb looks at, changes or starts."""
    if options["verb"] == "probe":
        if not 1 <= options["seconds"] <= probe.SECONDS_AT_MOST:
            raise CommandError(f"Choose 1 to {probe.SECONDS_AT_MOST} seconds.")
        return probe.request_probe(
            options["seconds"], actor=SYSTEM, fail=options["fail"]
        )
    operation = operations.get_operation(options["id"])
    if options["verb"] == "cancel":
        return operations.cancel_operation(operation, actor=SYSTEM)
    if options["verb"] == "retry":
        return operations.retry_operation(operation, actor=SYSTEM)
    return operation
