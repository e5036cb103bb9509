"""`manage.py runtimes [list|add|activate]`: the same services from a terminal."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from models_app.models import Operation
from models_app.schemas import operation_payload
from models_app.services.operations import get_operation
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.schemas import (
    server_address,
    server_key,
    server_name,
    server_payload,
)
from runtime_app.services import activate, runtimes
from venom_site.lib.access import SYSTEM
from venom_site.lib.commands import ProductCommand


class Command(ProductCommand):
    help = "List the runtimes, add an OpenAI-compatible server, activate a model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.set_defaults(verb="list", json=False)
        parser.add_argument("--json", action="store_true", help="for scripts")
        verbs = parser.add_subparsers(dest="verb")
        shared = ArgumentParser(add_help=False)
        shared.add_argument("--json", action="store_true", dest="json_too")
        verbs.add_parser("list", parents=[shared], help="what is there")
        add = verbs.add_parser("add", parents=[shared], help="add a server")
        add.add_argument("name")
        add.add_argument("base_url", help="such as http://127.0.0.1:8080/v1")
        add.add_argument("--key", default="", help="if the server asks for one")
        switch = verbs.add_parser("activate", parents=[shared], help="switch to it")
        switch.add_argument("runtime")
        switch.add_argument("model")
        switch.add_argument("--wait", type=int, default=0, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["json"] or options.get("json_too", False)
        verbs = {"list": _list, "add": _add, "activate": _activate}
        answer, lines = verbs[options["verb"] or "list"](options)
        text = json.dumps(answer, indent=2) if as_json else "\n".join(lines)
        self.stdout.write(text)
        if answer.get("operation", {}).get("status") == "failed":
            raise CommandError(answer["operation"]["error"])


Answer = tuple[dict[str, Any], list[str]]


def _list(options: dict[str, Any]) -> Answer:
    rows = [server_payload(row) for row in Runtime.objects.of_profile().in_order()]
    lines = [
        f"{row['name']:<16} {row['status']:<9} {row['version'] or '–':<14} "
        f"{row['endpoint']}  {', '.join(row['models']) or 'no models'}"
        for row in rows
    ]
    return {"servers": rows}, lines or ["No runtime is set up."]


def _add(options: dict[str, Any]) -> Answer:
    name = _checked(server_name, options["name"], "The name")
    address = _checked(server_address, options["base_url"], "The address")
    key = _checked(server_key, options["key"], "The key")
    row = runtimes.add_server(name, address, key, actor=SYSTEM)
    row = health.check_runtime(row)
    return {"server": server_payload(row)}, [f"Added {row.name}: {row.status}."]


def _checked(check: Any, value: str, what: str) -> str:
    try:
        checked: str = check(value)
    except ValueError as error:
        raise CommandError(f"{what} {error}.") from None
    return checked


def _activate(options: dict[str, Any]) -> Answer:
    operation = activate.request_activation(
        options["runtime"], options["model"], actor=SYSTEM
    )
    operation = _ended(operation, options["wait"])
    answer = operation_payload(operation)
    return {"operation": answer}, [f"{operation.title}: {operation.status}."]


def _ended(operation: Operation, wait_seconds: int) -> Operation:
    ends = time.monotonic() + wait_seconds
    while not operation.is_finished and time.monotonic() < ends:
        time.sleep(0.3)
        operation = get_operation(operation.pk)
    return operation
