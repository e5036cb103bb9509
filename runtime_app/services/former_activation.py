"""The activation that was there before: what becomes of it once another is active.

The way back to it, when something fails, is `roll_back.py`.
"""

from __future__ import annotations

from models_app.choices import LogLevel
from models_app.services.work import Cancelled, Work
from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import memory
from runtime_app.services.activation_way import Way, can_stop
from runtime_app.services.active import active_on
from runtime_app.services.drain import (
    await_drained,
    begin_drain,
    end_drain,
    in_flight,
)
from runtime_app.services.runtimes import place
from runtime_app.services.server_work import stop_server
from runtime_app.services.unloading import unload_model
from venom_site.lib.errors import VenomError, WireError

DRAIN_SECONDS = 30  # running requests may end; then the gateways end them
RELEASE_SECONDS = 30  # then it leaves memory by itself, when its requests have ended


def is_to_leave(former: Activation, runtime: Runtime, way: Way) -> bool:
    """What nobody pinned and we can free: another model of the same server, or one of
    another server, since one runtime is active at a time. A server that is started
    anew has let it go already."""
    name, where = former.served_name, former.runtime
    if memory.is_pinned(where, name):
        return False
    if where.pk == runtime.pk:
        return not way.starts and name != way.served and where.kind in CAN_UNLOAD
    return where.kind in CAN_UNLOAD or can_stop(where)


def is_committed(work: Work, runtime: Runtime) -> bool:
    """A former claim of this very operation made its model the active one."""
    now = active_on(runtime.node_id)
    return now is not None and now.operation_id == work.operation.pk


def remember_former(work: Work, runtime: Runtime) -> Activation | None:
    """What was active when the work began, and whether it was in memory then; kept in
    the checkpoint, so that a second run still knows it after the commit."""
    former, kept = active_on(runtime.node_id), work.operation.checkpoint
    if former is not None and former.operation_id == work.operation.pk:
        rows = Activation.objects.select_related("runtime__node")
        pk = kept.get("former", "")
        return rows.filter(pk=pk).first() if pk else None
    if former is None or kept.get("former") != str(former.pk):
        work.checkpoint(
            former=str(former.pk) if former else "",
            former_loaded=former is not None and holds(former),
        )
    return former


def holds(activation: Activation) -> bool:
    """Whether its server has it in memory now; False where that cannot be learnt."""
    runtime = activation.runtime
    try:
        runtime.loaded_models = adapter_for(runtime).list_loaded()
    except WireError:
        return False
    return runtime.in_memory(activation.served_name) is not None


def is_lost(work: Work, former: Activation | None) -> bool:
    """The former model was in memory before and no longer is: we drove it out."""
    was_loaded = work.operation.checkpoint.get("former_loaded", False)
    return former is not None and was_loaded and not holds(former)


def release(work: Work, former: Activation | None) -> None:
    """The new model is active already: whatever fails here is a line in the log.

    A worker that stops leaves the drain as it is: the next claim goes on with it.
    """
    if former is None:
        return
    runtime, name = former.runtime, former.served_name
    is_whole = runtime.kind not in CAN_UNLOAD
    drained = "" if is_whole else name
    drain = begin_drain(runtime, drained, seconds=DRAIN_SECONDS, work=work)
    try:
        await_drained(work, drain)
        let_go(work, former)
    except Cancelled:
        end_drain(drain)
        raise
    except (WireError, VenomError) as error:
        work.log(f"{name} on {place(runtime)}: {error}", LogLevel.WARNING)
    end_drain(drain)


def let_go(work: Work, former: Activation) -> None:
    """Its memory comes free: by a call of its server, else by stopping that."""
    runtime, name = former.runtime, former.served_name
    if runtime.kind in CAN_UNLOAD:
        unload_model(work, runtime, name, seconds=RELEASE_SECONDS)
    elif in_flight(runtime.name, ""):
        work.log(f"{place(runtime)} still answers and keeps running.")
    else:
        stop_server(work, runtime)
