"""From the check to the proof: what an activation does before it commits.

`Switch.prove()` returns when the server lists the model and has answered with it; what
it raises is undone by `activating.py`. Before a server is touched the checkpoint says
how it was (`roll_back.remember`).
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from models_app.choices import LogLevel
from models_app.services.steps import Steps
from models_app.services.work import Work
from runtime_app.choices import CAN_UNLOAD, RuntimeStatus
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.launches import was_launched
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services import memory
from runtime_app.services.activate import refuse_unable
from runtime_app.services.activation_steps import step_names
from runtime_app.services.activation_way import Way, can_start, way_to
from runtime_app.services.drain import await_drained, await_idle, begin_drain
from runtime_app.services.former_activation import DRAIN_SECONDS, is_to_leave, let_go
from runtime_app.services.launch_diff import changed
from runtime_app.services.launch_proof import prove_startable
from runtime_app.services.loading import load_into_memory
from runtime_app.services.relief import (
    ASK,
    Room,
    refuse_without_room,
    room_for,
)
from runtime_app.services.relieving import give_room
from runtime_app.services.roll_back import announce_coming, remember
from runtime_app.services.runtimes import (
    RuntimeOffline,
    errors_named,
    place,
    refuse_while_removed,
)
from runtime_app.services.server_work import start_server, stop_server
from runtime_app.services.when import WHEN_IDLE
from venom_site.lib.errors import (
    IncompatibleRuntime,
    ModelNotInstalled,
    UpstreamFailed,
)


class ConfirmationFailed(UpstreamFailed):
    code = "confirmation_failed"


class Switch:
    """One activation under way; the check tells `way`, `room` and `leaves`."""

    way: Way
    room: Room
    leaves: bool  # the former model goes once the new one answers

    def __init__(self, work: Work, runtime: Runtime, former: Activation | None) -> None:
        self.work = work
        self.runtime = runtime
        self.former = former
        self.steps = Steps(work)
        self.is_idle = work.params.get("when") == WHEN_IDLE

    def prove(self) -> None:
        """Check, make room, start or load, confirm."""
        self._check()
        self._drain()
        self._configure()
        self._stop()
        self._start()
        self._load()
        self._confirm()
        self.work.check()

    def take_as_proved(self) -> None:
        """It is active already, since a former claim: only the rest is left."""
        model = self.work.operation.model_name
        self.way = Way(name=model, served=model)
        former = self.former
        self.leaves = bool(former and is_to_leave(former, self.runtime, self.way))

    # The check

    def _check(self) -> None:
        self.steps.enter("checking", progress=5)
        self._look()
        work, runtime = self.work, self.runtime
        model, revision = work.operation.model_name, work.params.get("revision", "")
        self.way = way_to(runtime, model, revision)
        if self.way.launch is not None:
            prove_startable(runtime, self.way.launch)
        refuse_unable(runtime, self.way.served)
        refuse_while_removed(runtime, self.way.name)
        former = self.former
        self.leaves = bool(former and is_to_leave(former, runtime, self.way))
        self.room = room_for(runtime, self.way, former, leaves=self.leaves)
        relief = work.params.get("relief", ASK)
        refuse_without_room(runtime, self.way.name, self.room, relief=relief)
        if self.room.warning:
            work.log(self.room.warning, LogLevel.WARNING)
        names = step_names(
            runtime,
            self.way,
            former,
            self.room,
            when=str(work.params.get("when", "")),
        )
        work.checkpoint(plan=names)

    def _look(self) -> None:
        """What the server says now; one that we may start need not say anything."""
        runtime, model = self.runtime, self.work.operation.model_name
        with errors_named(model, runtime, RuntimeOffline):
            seen = adapter_for(runtime).observe()
        if seen.is_failure and can_start(runtime):
            runtime.status = RuntimeStatus.OFFLINE
            return
        if seen.is_failure:
            raise RuntimeOffline(f"{model} on {place(runtime)}: {seen.error}")
        if seen.error:
            raise IncompatibleRuntime(f"{model} on {place(runtime)}: {seen.error}")
        runtime.status = seen.status
        runtime.served_models = seen.models or []
        runtime.loaded_models = seen.loaded or []
        if not can_start(runtime) and runtime.serves(model) is None:
            raise ModelNotInstalled(
                f"{place(runtime)} no longer lists the model {model}."
            )

    # Before anything new begins

    @property
    def _former_goes_first(self) -> bool:
        """There is no room for both, so that the new one must wait for the old one."""
        return self.leaves and self.way.starts and not self.room.is_beside

    def _drain(self) -> None:
        """`idle` waits as long as it takes; then what is stopped gets its seconds."""
        is_gap = self.way.restarts or self._former_goes_first
        if not (is_gap or (self.is_idle and self.former)):
            return
        self.steps.enter("draining", progress=10)
        if self.is_idle:
            self._await_idle()
        if self.way.restarts:
            self._drain_one(self.runtime, "")
        if self._former_goes_first and self.former is not None:
            former = self.former
            is_whole = former.runtime.kind not in CAN_UNLOAD
            name = "" if is_whole else former.served_name
            self._drain_one(former.runtime, name)

    def _await_idle(self) -> None:
        if self.former is not None:
            former = self.former
            await_idle(self.work, former.runtime.name, former.served_name)
        if self.way.restarts:
            await_idle(self.work, self.runtime.name, "")

    def _drain_one(self, runtime: Runtime, name: str) -> None:
        """Held until the end of the switch: who asks meanwhile waits."""
        drain = begin_drain(runtime, name, seconds=DRAIN_SECONDS, work=self.work)
        await_drained(self.work, drain)

    def _configure(self) -> None:
        """The control writes the launch file when it starts the server; from here on
        the checkpoint knows how everything was."""
        way, launch = self.way, self.way.launch
        if launch is None:
            return
        self.steps.enter("configuring", progress=20)
        remember(self.work, self.runtime)
        if self._former_goes_first and self.former is not None:
            remember(self.work, self.former.runtime)
        announce_coming(self.work, way.served)
        for line in changed(self.runtime, was_launched(self.runtime), launch):
            before = line.before or "not set"
            self.work.log(f"{line.name}: {before} → {line.after or 'not set'}.")

    def _stop(self) -> None:
        goes_first = self._former_goes_first and self.former is not None
        if not (self.way.restarts or goes_first or self.room.relief):
            return
        self.steps.enter("stopping", progress=25)
        give_room(self.work, self.room.relief, to=self.way.name)
        if goes_first and self.former is not None:
            with errors_named(self.former.served_name, self.former.runtime, _Stuck):
                let_go(self.work, self.former)
        if self.way.restarts:
            stop_server(self.work, self.runtime)

    # The new one

    def _start(self) -> None:
        if self.way.launch is None:
            return
        self.steps.enter("starting", progress=35)
        start_server(self.work, self.runtime, self.way.launch)
        self.runtime.refresh_from_db()

    def _load(self) -> None:
        if self.way.starts and self.runtime.kind not in CAN_UNLOAD:
            return
        self.steps.enter("loading", progress=50)
        if self.way.starts:
            self._prove_listed()
        load_into_memory(self.runtime, self.way.served, check=self.work.check)

    def _confirm(self) -> None:
        self.steps.enter("confirming", progress=75)
        self._prove_listed()
        runtime, served = self.runtime, self.way.served
        with errors_named(served, runtime, ConfirmationFailed):
            answered = adapter_for(runtime).confirm(
                served,
                seconds=settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL,
                check=self.work.check,
                forever=memory.is_pinned(runtime, served),
            )
        if answered and answered != served:
            words = f"The server calls itself {answered!r}, not {served!r}."
            self.work.log(words, LogLevel.WARNING)

    def _prove_listed(self) -> None:
        """The server's own list carries the name, from the folder it was given."""
        runtime, way = self.runtime, self.way
        with errors_named(way.served, runtime, ConfirmationFailed):
            runtime.served_models = adapter_for(runtime).list_models()
        entry = runtime.serves(way.served)
        if entry is None:
            listed = ", ".join(str(e["name"]) for e in runtime.served_models)
            raise ConfirmationFailed(
                f"{place(runtime)} lists {listed or 'no model'}, not {way.served}."
            )
        root = str(entry.get("root") or "")
        if way.root and root and Path(root) != Path(way.root):
            raise ConfirmationFailed(
                f"{place(runtime)} serves {way.served} from {root}, not from "
                f"{way.root}."
            )


class _Stuck(UpstreamFailed):
    """The former model did not leave memory, so that there is no room."""

    code = "unload_failed"
