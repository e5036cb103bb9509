"""What tests of installs from the hub do again and again."""

from __future__ import annotations

from models_app import tasks
from models_app.models import Operation
from models_app.services import install
from venom_site.lib.access import SYSTEM

TINY, SHARDED = "practice/tiny-llama", "practice/sharded-12m"


def ask(name, **options) -> Operation:
    return install.request_install("huggingface", name, actor=SYSTEM, **options)


def carry_out(operation) -> Operation:
    tasks.run_install(str(operation.pk))
    operation.refresh_from_db()
    return operation


def installed(name, **options) -> Operation:
    operation = carry_out(ask(name, **options))
    assert (operation.status, operation.error) == ("completed", "")
    return operation


def repo_of(shop, name):
    return shop.state.shelf.find(name)


def left_on_disk(shop) -> list[str]:
    root = shop.store
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))
