"""`ensure_runtimes()`: the rows that the environment asks for.

Called by `prepare` and at worker start; running it again changes nothing. For Ollama
and vLLM the environment is the truth about the address; servers of
VENOM_OPENAI_COMPATIBLE_SERVERS are added at the first start only, afterwards the
database is the truth.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections, transaction

from models_app.models import Node
from models_app.services.nodes import this_node
from runtime_app.choices import PROFILE_KINDS, RuntimeKind, RuntimeStatus
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.schemas import server_address

logger = logging.getLogger(__name__)


def at_worker_start() -> None:
    """A database that is away is no reason for a worker to die; beat comes again."""
    try:
        ensure_runtimes()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("runtimes not seeded %s", error)
        connections.close_all()


def ensure_runtimes() -> None:
    """Create what is missing and correct the addresses of Ollama and vLLM."""
    with transaction.atomic():
        node = this_node()
        is_first_start = not Runtime.objects.filter(node=node).exists()
        for position, (kind, url) in enumerate(_own().items(), start=1):
            _ensure(node, kind, url, position * 10)
        if is_first_start:
            _add_named(node)


def _own() -> dict[RuntimeKind, str]:
    """The runtimes of the present profile and where the environment says they are."""
    addresses = {
        RuntimeKind.OLLAMA: settings.ENV.ollama_url,
        RuntimeKind.VLLM: settings.ENV.vllm_url,
    }
    shown = PROFILE_KINDS[settings.RUNTIME_PROFILE]
    return {kind: url for kind, url in addresses.items() if kind in shown}


def _ensure(node: Node, kind: RuntimeKind, url: str, position: int) -> None:
    row, is_new = Runtime.objects.get_or_create(
        node=node,
        name=kind.value,
        defaults={
            "kind": kind,
            "display_name": str(kind.label),
            "base_url": url,
            "position": position,
        },
    )
    if is_new:
        bump_policy()
    elif row.base_url != url:
        logger.info("runtime address changed runtime=%s", row.name)
        moved = Runtime.objects.filter(pk=row.pk)
        moved.update(base_url=url, status=RuntimeStatus.UNKNOWN, failed_checks=0)
        bump_policy()


def _add_named(node: Node) -> None:
    for name, url in settings.ENV.openai_compatible_servers.items():
        Runtime.objects.get_or_create(
            node=node,
            name=name,
            defaults={
                "kind": RuntimeKind.OPENAI_COMPATIBLE,
                "display_name": name,
                "base_url": server_address(url),
            },
        )
    bump_policy()
