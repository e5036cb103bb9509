"""`manage.py models [list|show|search|install|remove|activate|load|unload|pin|…]`.

The same services as pages and API. What takes long is followed until it ends, on a
terminal by itself; leaving with Ctrl-C leaves it running.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models_app.choices import PROVIDER_RUNTIMES, ProviderName
from models_app.management.following import FollowingCommand, add_waiting
from models_app.models import InstalledModel, Operation
from models_app.providers.catalogue import Listed
from models_app.schemas.capabilities import capabilities_payload
from models_app.schemas.models import model_payload
from models_app.services import catalog, install, model_lists, registry, remove
from models_app.services.machine import read_memory
from models_app.services.manifest_import import import_manifest
from models_app.services.model_fit import fit_told
from models_app.services.model_lists import ModelRow
from runtime_app.services import activate, active, memory
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import ConfirmRequired
from venom_site.lib.units import size_text

Options = dict[str, Any]
Facts = tuple[dict[str, Any], list[str]]


class Command(FollowingCommand):
    help = "Install, remove, activate and look at the models of this machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        shared = ArgumentParser(add_help=False)
        shared.add_argument("--json", action="store_true", help="for scripts")
        held = ArgumentParser(add_help=False)
        held.add_argument("name", help="such as gemma3:4b")
        held.add_argument("--provider", help="where two have the name")
        on = ArgumentParser(add_help=False)
        on.add_argument("name", help="such as gemma3:4b")
        on.add_argument("--runtime", default="", help="default: the provider's own")
        long = ArgumentParser(add_help=False)
        add_waiting(long)
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", parents=[shared], help="what is installed")
        listed.add_argument("--provider")
        verbs.add_parser("show", parents=[shared, held], help="all about one")
        _add_search(verbs.add_parser("search", parents=[shared], help="what there is"))
        _add_install(verbs.add_parser("install", parents=[shared, long], help="get it"))
        removed = verbs.add_parser(
            "remove", parents=[shared, held, long], help="free its disk"
        )
        removed.add_argument("--revision", default="", help="where it has several")
        _add_import(verbs.add_parser("import-manifest", parents=[shared]))
        for verb, text in (
            ("activate", "make it the one that answers"),
            ("load", "bring it into memory"),
            ("unload", "free its memory"),
        ):
            added = verbs.add_parser(verb, parents=[shared, on, long], help=text)
            if verb == "activate":
                added.add_argument("--revision", default="", help="one of several")
        verbs.add_parser("pin", parents=[shared, on], help="keep it in memory")
        verbs.add_parser("unpin", parents=[shared, on], help="let it be unloaded")

    def handle(self, *args: Any, **options: Any) -> None:
        if verb := LONG.get(options["verb"]):
            self.see_through(verb(options), options)
        else:
            answer, lines = QUICK[options["verb"]](options)
            self.say(answer, lines, as_json=options["json"])


def _add_search(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", help="part of a name, such as gemma")
    parser.add_argument("--provider", choices=ProviderName.values)
    parser.add_argument("--limit", type=int, default=10, help="of each, at most 200")


def _add_install(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="such as gemma3:4b")
    parser.add_argument("--provider", default=ProviderName.OLLAMA.value)
    parser.add_argument("--runtime", default="", help="default: the provider's own")
    parser.add_argument("--revision", default="")
    parser.add_argument("--yes", action="store_true", help="even when it is large")
    parser.add_argument(
        "--activate",
        nargs="?",
        const="now",
        default="no",
        choices=("no", "now", "idle"),
    )


def _add_import(parser: ArgumentParser) -> None:
    parser.description = "Register what an earlier manifest.json lists and lies here."
    parser.add_argument("file", type=Path)


# What is known at once


def _list(options: Options) -> Facts:
    wanted = options["provider"]
    rows = [r for r in model_lists.all_rows() if wanted in (None, r.provider)]
    machine = read_memory()
    models = [
        model_payload(row) | {"fit": fit_told(row.model, machine)} for row in rows
    ]
    answer = {
        "models": models,
        "count": len(models),
        "active": active.active_payload(),
    }
    return answer, [_line(row) for row in rows] or ["No models on this machine."]


def _line(row: ModelRow) -> str:
    size = size_text(row.model.size_bytes if row.model else None)
    return f"{row.name:<32} {row.provider:<12} {size:>9}  {_state(row)}"


def _state(row: ModelRow) -> str:
    """Its status and what else is to be known, as words."""
    words = [row.status]
    if row.operation:
        words.append(f"{row.operation.progress:.0f} %")
    if row.is_active:
        words.append("active")
    if row.model and row.model.pinned:
        words.append("pinned")
    if row.model and row.model.error:
        words.append(str(row.model.reason))
    return ", ".join(words)


def _show(options: Options) -> Facts:
    model = registry.find_installed(options["name"], options["provider"])
    return _facts(model)


def _facts(model: InstalledModel) -> Facts:
    known = getattr(model, "capabilities", None)  # a row that nobody described has none
    shown = model_payload(model_lists.row_of(model))
    answer = {"model": shown, "capabilities": capabilities_payload(model, known)}
    facts = shown | answer["capabilities"]
    return answer, [
        f"{name + ':':<26}{value}"
        for name, value in facts.items()
        if value not in (None, "", [])
    ]


def _search(options: Options) -> Facts:
    """From kept answers no older than 30 minutes, of every source or of one."""
    catalog.refuse_without_models()
    limit = max(1, min(200, options["limit"]))
    words = " ".join(options["words"])
    answers = catalog.providers_list(options["provider"] or "", words, limit)
    items = [item for answer in answers for item in answer.items]
    errors = [f"{each.label}: {each.kept.error}" for each in answers if each.kept.error]
    models = [{"provider": each.provider, "model_name": each.name} for each in items]
    lines = [_offer(item) for item in items] or ["Nothing matches."]
    return {"models": models, "count": len(models), "errors": errors}, lines + errors


def _offer(item: Listed) -> str:
    size = size_text(item.size_bytes) if item.size_bytes else ", ".join(item.sizes)
    return f"{item.name:<44} {item.provider:<12} {size:<16} {item.license}".rstrip()


def _pin(options: Options) -> Facts:
    model = memory.set_pinned(
        options["name"],
        pinned=options["verb"] == "pin",
        runtime=options["runtime"],
        actor=SYSTEM,
    )
    said = "stays in memory" if model.pinned else "may be unloaded"
    return {"name": model.name, "pinned": model.pinned}, [f"{model.name} {said}."]


def _import(options: Options) -> Facts:
    entries = import_manifest(options["file"])
    held = [entry for entry in entries if entry.model]
    told = [
        {
            "name": entry.name,
            "provider": entry.provider,
            "registered": entry.model is not None,
            "message": entry.message,
        }
        for entry in entries
    ]
    lines = [f"{entry.name or '–':<32} {entry.message}" for entry in entries]
    summary = f"{len(held)} of {len(entries)} models lie here."
    return {"models": told, "count": len(held)}, [*lines, summary]


# What takes long


def _install(options: Options) -> Operation:
    try:
        return install.request_install(
            options["provider"],
            options["name"],
            actor=SYSTEM,
            runtime=options["runtime"],
            revision=options["revision"],
            confirm_large=options["yes"],
            activate=options["activate"],
        )
    except ConfirmRequired as error:
        raise ConfirmRequired(f"{error} Add --yes to install it.") from None


def _remove(options: Options) -> Operation:
    model = registry.only_version(
        options["name"], options["provider"], options["revision"]
    )
    return remove.request_remove(model, actor=SYSTEM)


def _activate(options: Options) -> Operation:
    """Without a runtime it is that of the provider which the model came from."""
    runtime, name = options["runtime"], options["name"]
    if not runtime:
        model = registry.find_installed(name)
        runtime, name = PROVIDER_RUNTIMES[model.provider], model.name
    return activate.request_activation(
        runtime, name, actor=SYSTEM, revision=options["revision"]
    )


def _load(options: Options) -> Operation:
    return memory.request_load(
        options["name"], runtime=options["runtime"], actor=SYSTEM
    )


def _unload(options: Options) -> Operation:
    return memory.request_unload(
        options["name"], runtime=options["runtime"], actor=SYSTEM
    )


QUICK: dict[str, Callable[[Options], Facts]] = {
    "import-manifest": _import,
    "list": _list,
    "show": _show,
    "search": _search,
    "pin": _pin,
    "unpin": _pin,
}
LONG: dict[str, Callable[[Options], Operation]] = {
    "install": _install,
    "remove": _remove,
    "activate": _activate,
    "load": _load,
    "unload": _unload,
}
