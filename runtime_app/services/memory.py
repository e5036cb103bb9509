"""What shall be in a runtime's memory: the wishes to load, unload and pin.

They refuse what cannot work and write operations, which `loading.py` and
`unloading.py` carry out in the node's worker, one at a time with activations.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from history_app import audit
from models_app.choices import PROVIDER_RUNTIMES, OperationType
from models_app.events import model_changed
from models_app.models import InstalledModel, Operation
from models_app.services import registry, targets
from models_app.services.nodes import this_node
from models_app.services.operations import request_operation
from runtime_app.choices import CAN_UNLOAD, RuntimeKind
from runtime_app.models import Runtime
from runtime_app.runtimes.base import UnloadUnsupported
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.active import active_activation
from runtime_app.services.memory_seen import note_memory
from runtime_app.services.relief import (
    ASK,
    refuse_unknown_policy,
    refuse_without_room,
    room_to_load,
)
from runtime_app.services.runtimes import (
    find_runtime,
    installed_on,
    lacks,
    providers_of,
    refuse_while_removed,
    served_name,
)
from venom_site.lib.access import Principal
from venom_site.lib.errors import AmbiguousName, NotFound, WireError
from venom_site.lib.events import publish

logger = logging.getLogger(__name__)


class Wanted(NamedTuple):
    runtime: Runtime
    model: str  # as the server writes it


def request_load(
    name: str, *, runtime: str = "", actor: Principal, relief: str = ASK
) -> Operation:
    """Bring a model into memory; `runtime` left out is the one that its provider
    delivers to, else the active one. With `relief` "auto" idle models make room.

    Raises `NotFound` for a name nobody has, `DoesNotFit` naming who could leave.
    """
    refuse_unknown_policy(relief)
    wanted = _wanted(name, runtime)
    refuse_while_removed(*wanted)
    room = room_to_load(*wanted)
    refuse_without_room(wanted.runtime, wanted.model, room, relief=relief)
    params = {"relief": relief} if relief != ASK else {}
    return _request(OperationType.LOAD, wanted, actor, **params)


def request_unload(name: str, *, runtime: str = "", actor: Principal) -> Operation:
    """Free a model's memory; one that is not loaded is done at once."""
    wanted = _wanted(name, runtime)
    if wanted.runtime.kind not in CAN_UNLOAD:
        raise UnloadUnsupported(
            _(
                "%(runtime)s cannot unload a model: it stays in memory as long as the "
                "server runs. Stop the server to free it."
            )
            % {"runtime": wanted.runtime.display_name},
            runtime=wanted.runtime.name,
        )
    return _request(OperationType.UNLOAD, wanted, actor)


def request_unload_all(*, actor: Principal) -> Operation:
    """Ask every runtime of this node to unload all it holds, pinned models too."""
    if not Runtime.objects.of_profile().exists():
        find_runtime(RuntimeKind.OLLAMA)  # says which profile has one
    node = this_node()
    return request_operation(
        OperationType.UNLOAD,
        actor=actor,
        node=node,
        target_key=targets.memory_target(node, "", ""),
        lock_key=targets.runtimes_lock(node),
    )


def _request(
    kind: OperationType, wanted: Wanted, actor: Principal, **params: str
) -> Operation:
    runtime, model = wanted
    return request_operation(
        kind,
        actor=actor,
        node=runtime.node,
        target_key=targets.memory_target(runtime.node, runtime.name, model),
        lock_key=targets.runtimes_lock(runtime.node),
        provider=runtime.provider,
        runtime=runtime.name,
        model_name=model,
        params={"runtime_id": str(runtime.pk)} | params,
    )


def _wanted(name: str, runtime_name: str) -> Wanted:
    runtime = find_runtime(runtime_name or runtime_for(name))
    held = runtime.in_memory(name)
    model = str(held["name"]) if held else served_name(runtime, name)
    if model is None:
        raise NotFound(lacks(runtime, name), runtime=runtime.name, model=name)
    return Wanted(runtime, model)


def runtime_for(name: str) -> str:
    """Where a name without a runtime belongs."""
    held = InstalledModel.objects.of_node(settings.NODE).named(name)
    providers = sorted(set(held.values_list("provider", flat=True)))
    if len(providers) > 1:
        raise AmbiguousName(
            _("“%(name)s” is installed from several providers. Name the runtime.")
            % {"name": name},
            providers=providers,
        )
    if providers:
        return PROVIDER_RUNTIMES[providers[0]]
    activation = active_activation()
    if activation and activation.runtime.serves(name):
        return activation.runtime.name
    with suppress(NotFound):  # what the vendor's own tool has just brought
        return registry.find_installed(name).runtime
    return activation.runtime.name if activation else RuntimeKind.OLLAMA.value


# Pinning


def set_pinned(
    name: str, *, pinned: bool, runtime: str = "", actor: Principal
) -> InstalledModel:
    """Whether the model stays in memory once it is loaded. It is not loaded by this;
    what is in memory already is told at once."""
    row = find_runtime(runtime or runtime_for(name))
    model = installed_on(row, name) or _taken_up(row, name)
    with transaction.atomic():
        _write_pin(model, pinned=pinned, actor=actor)
    _tell_server(row, model)
    return model


def _taken_up(runtime: Runtime, name: str) -> InstalledModel:
    """A model that no row knows yet; raises `NotFound`."""
    for provider in providers_of(runtime):
        return registry.find_installed(name, provider)
    raise NotFound(
        _("%(runtime)s holds its models itself; there is nothing to pin.")
        % {"runtime": runtime.display_name}
    )


def _write_pin(model: InstalledModel, *, pinned: bool, actor: Principal) -> None:
    rows = InstalledModel.objects.filter(pk=model.pk).exclude(pinned=pinned)
    if not rows.update(pinned=pinned):
        return
    audit.record(
        actor,
        "model.pin" if pinned else "model.unpin",
        "model",
        model.pk,
        object_name=model.name,
        before={"pinned": model.pinned},
        after={"pinned": pinned},
    )
    model.pinned = pinned
    news = {"provider": model.provider, "name": model.name, "status": model.status}
    publish(model_changed(news | {"node": model.node.name}))


def _tell_server(runtime: Runtime, model: InstalledModel) -> None:
    """A server that is away now is told by the health check or by the next load."""
    if not runtime.in_memory(model.name):
        return
    try:
        adapter_for(runtime).keep(model.name, forever=model.pinned)
    except WireError as error:
        logger.info("pin not told yet runtime=%s %s", runtime.name, error)
    note_memory(runtime)


def is_pinned(runtime: Runtime, model: str) -> bool:
    installed = installed_on(runtime, model)
    return installed is not None and installed.pinned
