"""`manage.py runtimes [list|add|start|stop|restart|status|activate|unload-all]`.

Servers from a terminal, by the same services as pages and API. `status NAME` ends with
the exit codes of the LSB: 0 running, 1 crashed, 3 not running, 4 unknown.
`unload-all --now` frees memory without a worker and stops what we started: stopping
Venom does that first.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError

from models_app.management.following import FollowingCommand, add_waiting
from models_app.models import Operation
from runtime_app.management.server_status import UNKNOWN, status_of
from runtime_app.models import Runtime
from runtime_app.monitoring import health
from runtime_app.schemas import (
    server_address,
    server_key,
    server_name,
    server_payload,
)
from runtime_app.services import activate, memory, runtimes, servers
from runtime_app.services.unload_now import unload_everything_now
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import VenomError

UNLOAD_NOW_SECONDS = 5.0
NAMES_SHOWN = 5

Options = dict[str, Any]
Facts = tuple[dict[str, Any], list[str]]


class Command(FollowingCommand):
    help = "List, add, start, stop and watch runtimes; activate a model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.set_defaults(verb="list", json=False)
        parser.add_argument("--json", action="store_true", help="for scripts")
        verbs = parser.add_subparsers(dest="verb")
        shared = ArgumentParser(add_help=False)
        shared.add_argument("--json", action="store_true", dest="json_too")
        long = ArgumentParser(add_help=False)
        add_waiting(long)
        verbs.add_parser("list", parents=[shared], help="what is there")
        add = verbs.add_parser("add", parents=[shared], help="add a server")
        add.add_argument("name")
        add.add_argument("base_url", help="such as http://127.0.0.1:8080/v1")
        add.add_argument("--key", default="", help="if the server asks for one")
        switch = verbs.add_parser("activate", parents=[shared, long], help="switch")
        switch.add_argument("runtime")
        switch.add_argument("model")
        start = verbs.add_parser("start", parents=[shared, long], help="start it")
        start.add_argument("runtime")
        start.add_argument("--model", default="", help="for vLLM; else the last one")
        for verb, words in (("stop", "stop it"), ("restart", "stop and start it")):
            own = verbs.add_parser(verb, parents=[shared, long], help=words)
            own.add_argument("runtime")
            own.add_argument(
                "--when", choices=("now", "idle"), default="now", help="idle: waits"
            )
        told = verbs.add_parser("status", parents=[shared], help="LSB exit code")
        told.add_argument("runtime")
        every = verbs.add_parser(
            "unload-all", parents=[shared, long], help="free all their memory"
        )
        every.add_argument("--now", action="store_true", help="without a worker")
        every.add_argument(
            "--ours", action="store_true", help="with --now: only what Venom started"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        options["json"] = options["json"] or options.get("json_too", False)
        verb = options["verb"] or "list"
        if verb in WISHES:
            self.see_through(WISHES[verb](options), options)
        elif verb == "status":
            self._tell_status(options)
        elif verb == "unload-all" and not options["now"]:
            self.see_through(memory.request_unload_all(actor=SYSTEM), options)
        else:
            quick = {"list": _list, "add": _add, "unload-all": _unload_now}
            answer, lines = quick[verb](options)
            self.say(answer, lines, as_json=options["json"])

    def _tell_status(self, options: Options) -> None:
        """Ends the program with the code of the LSB, 4 where nothing can be known."""
        try:
            status = status_of(runtimes.find_runtime(options["runtime"]))
        except VenomError as error:
            raise CommandError(f"{error} ({error.code})", returncode=UNKNOWN) from None
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(self.explain(error), returncode=UNKNOWN) from None
        self.say(status.facts, [status.line], as_json=options["json"])
        if status.exit_code:
            sys.exit(status.exit_code)


def _list(options: Options) -> Facts:
    rows = [server_payload(row) for row in Runtime.objects.of_profile().in_order()]
    lines = list(map(_line, rows))
    return {"servers": rows}, lines or ["No runtime is set up."]


def _line(row: dict[str, Any]) -> str:
    pid = f"  pid {row['pid']}" if row["pid"] else ""
    return (
        f"{row['name']:<16} {row['status']:<9} {row['version'] or '–':<14} "
        f"{row['endpoint']}{pid}  {_models(row)}"
    )


def _models(row: dict[str, Any]) -> str:
    """What it serves, the first few by name, and what of it is in memory."""
    names, loaded = row["models"], ", ".join(row["loaded"])
    more = len(names) - NAMES_SHOWN
    words = ", ".join(names[:NAMES_SHOWN]) or "no models"
    words += f" and {more} more" if more > 0 else ""
    return f"{words}; in memory: {loaded}" if loaded else words


def _add(options: Options) -> Facts:
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


def _activate(options: Options) -> Operation:
    return activate.request_activation(
        options["runtime"], options["model"], actor=SYSTEM
    )


def _start(options: Options) -> Operation:
    runtime = runtimes.get_runtime(options["runtime"])
    return servers.request_start(runtime, actor=SYSTEM, model=options["model"])


def _stop(options: Options) -> Operation:
    runtime = runtimes.get_runtime(options["runtime"])
    return servers.request_stop(runtime, actor=SYSTEM, when=options["when"])


def _restart(options: Options) -> Operation:
    runtime = runtimes.get_runtime(options["runtime"])
    return servers.request_restart(runtime, actor=SYSTEM, when=options["when"])


WISHES: dict[str, Callable[[Options], Operation]] = {
    "activate": _activate,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
}


def _unload_now(options: Options) -> Facts:
    lines = unload_everything_now(UNLOAD_NOW_SECONDS, only_ours=options["ours"])
    return {"unloaded": lines}, lines or ["Nothing was in memory."]
