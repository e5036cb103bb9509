"""`ensure_runtimes()`: the rows that the environment asks for.

Called by `prepare` and at worker start; running it again changes nothing. For Ollama
and vLLM the environment is the truth about the address; servers of
VENOM_OPENAI_COMPATIBLE_SERVERS are added at the first start only, and the model that
the environment names is activated once only; afterwards the database is the truth.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections, transaction

from models_app.choices import OperationType
from models_app.models import Node, Operation
from models_app.services.nodes import this_node
from runtime_app.choices import PROFILE_KINDS, RuntimeKind, RuntimeStatus
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.controls import control_for
from runtime_app.schemas import server_address
from runtime_app.services.activate import request_activation
from runtime_app.services.unload_now import start_with_the_house
from venom_site.lib.access import Principal, Scope, expand
from venom_site.lib.errors import VenomError

FROM_SETTINGS = Principal(
    kind="system",
    identifier="settings",
    name="settings",
    scopes=expand(frozenset({Scope.OPERATE})),
)

logger = logging.getLogger(__name__)


def at_worker_start() -> None:
    """A database that is away is no reason for a worker to die; beat comes again."""
    try:
        ensure_runtimes()
        start_with_the_house()
        activate_initial_model()
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
    _keep_managers()


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


def _keep_managers() -> None:
    """Who starts and stops them here, outside any transaction since systemd is asked;
    the health check finds out who has started what runs."""
    rows = Runtime.objects.of_profile().of_node(settings.NODE).in_order()
    for row in rows:
        managed_by = control_for(row).managed_by
        if managed_by != row.managed_by and not row.holder:
            Runtime.objects.filter(pk=row.pk).update(managed_by=managed_by)


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


def activate_initial_model() -> None:
    """Once in the life of an installation: make the model of the environment active.

    Called at worker start and whenever a server lists other models than before. As
    long as no server has the name this writes a log line and nothing else.
    """
    server, model = _initial()
    if not model or _was_ever_activated():
        return
    try:
        request_activation(server, model, actor=FROM_SETTINGS)
    except VenomError as error:
        logger.info("initial model not activated model=%s %s", model, error)


def _initial() -> tuple[str, str]:
    """The server and model of ACTIVE_LLM_SERVER, OLLAMA_ACTIVE_MODEL,
    VLLM_ACTIVE_MODEL and LLM_MODEL_NAME; the model is empty without a wish."""
    env = settings.ENV
    named = {
        RuntimeKind.OLLAMA.value: env.OLLAMA_ACTIVE_MODEL,
        RuntimeKind.VLLM.value: env.VLLM_ACTIVE_MODEL,
    }
    own = (name for name in _own() if named[name.value])
    server = env.ACTIVE_LLM_SERVER.lower() or next(own, RuntimeKind.OLLAMA).value
    return server, named.get(server) or env.LLM_MODEL_NAME


def _was_ever_activated() -> bool:
    """An operation counts too: what a person cancelled is not asked for again."""
    wishes = Operation.objects.filter(operation_type=OperationType.ACTIVATE)
    return Activation.objects.exists() or wishes.exists()
