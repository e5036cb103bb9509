"""The wish to activate: make a model on a runtime the one that answers.

Refuses what cannot work before anything changes and writes the operation, which
`activating.py` carries out.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from models_app.choices import OperationType
from models_app.models import Operation
from models_app.services import targets
from models_app.services.operations import request_operation
from runtime_app.models import Runtime
from runtime_app.services.activation_steps import step_names
from runtime_app.services.activation_way import Way, way_to
from runtime_app.services.active import active_activation, active_on
from runtime_app.services.former_activation import is_to_leave
from runtime_app.services.relief import (
    ASK,
    refuse_unknown_policy,
    refuse_without_room,
    room_for,
)
from runtime_app.services.runtimes import (
    find_runtime,
    installed_on,
    refuse_while_removed,
)
from runtime_app.services.when import NOW, refuse_unknown_when
from venom_site.lib.access import Principal
from venom_site.lib.errors import Conflict, IncompatibleRuntime


class NoActiveRuntime(Conflict):
    code = "no_active_runtime"


def request_activation(
    runtime_name: str,
    model: str,
    *,
    actor: Principal,
    when: str = NOW,
    revision: str = "",
    relief: str = ASK,
) -> Operation:
    """Write the operation; the same wish joins, another activation is 409.

    `revision` is one of several installed versions of the name, so this also rolls
    back. With `relief` "auto" idle models leave memory where the new one needs it; else
    that is 409 `does_not_fit` naming them. A server that we may start need not run.

    Asking for what is active already confirms it once more.
    """
    refuse_unknown_when(when)
    refuse_unknown_policy(relief)
    runtime = find_runtime(runtime_name)
    way = way_to(runtime, model, revision)
    refuse_unable(runtime, way.served)
    refuse_while_removed(runtime, way.name)
    steps = _steps_or_refused(runtime, way, when, relief)
    return request_operation(
        OperationType.ACTIVATE,
        actor=actor,
        node=runtime.node,
        target_key=targets.activation_target(runtime.node),
        lock_key=targets.runtimes_lock(runtime.node),
        provider=runtime.provider,
        runtime=runtime.name,
        model_name=way.name,
        params=_params(runtime, model, way, when, revision, relief),
        checkpoint={"plan": steps},
    )


def _params(
    runtime: Runtime, model: str, way: Way, when: str, revision: str, relief: str
) -> dict[str, Any]:
    """What is left out stands for its default, so that the same wish is the same."""
    told = {"runtime_id": str(runtime.pk), "model": model, "when": when}
    if revision and way.installed is not None:
        told["revision"] = way.installed.revision
    return told | ({"relief": relief} if relief != ASK else {})


def _steps_or_refused(runtime: Runtime, way: Way, when: str, relief: str) -> list[str]:
    """What it will go through, as things are now; the work looks again."""
    former = active_on(runtime.node_id)
    leaves = former is not None and is_to_leave(former, runtime, way)
    room = room_for(runtime, way, former, leaves=leaves)
    refuse_without_room(runtime, way.name, room, relief=relief)
    return step_names(runtime, way, former, room, when=when)


def request_switch(
    model: str, *, actor: Principal, when: str = NOW, relief: str = ASK
) -> Operation:
    """Another model on the runtime that is active now."""
    activation = active_activation()
    if activation is None:
        raise NoActiveRuntime(
            _("No runtime is active. POST /api/v1/models/activate makes one active.")
        )
    return request_activation(
        activation.runtime.name, model, actor=actor, when=when, relief=relief
    )


def refuse_unable(runtime: Runtime, model: str) -> None:
    """The active model answers chats; where nobody knows, the token will tell."""
    if _can_chat(runtime, model) is False:
        raise IncompatibleRuntime(
            _(
                "“%(model)s” cannot chat, so it cannot be the active model. It can be "
                "loaded and asked for embeddings by its name."
            )
            % {"model": model},
            runtime=runtime.name,
            model=model,
        )


def _can_chat(runtime: Runtime, model: str) -> bool | None:
    """What is registered of it, else what the server's list says; None if neither."""
    known = getattr(installed_on(runtime, model), "capabilities", None)
    if known is not None and known.supports_chat is not None:
        return bool(known.supports_chat)
    listed = runtime.serves(model) or {}
    return listed.get("can_chat")
