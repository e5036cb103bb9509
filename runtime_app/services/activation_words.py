"""What an activation would do, in words: titles of its steps, its diff, its effects."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings
from django.utils.translation import gettext as _

from runtime_app.choices import CAN_UNLOAD
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.launches import was_launched
from runtime_app.services.activation_way import Way
from runtime_app.services.drain import in_flight
from runtime_app.services.former_activation import DRAIN_SECONDS, is_to_leave
from runtime_app.services.launch_diff import ACTIVE_MODEL, Change, changed
from runtime_app.services.relief import Room
from runtime_app.services.when import WHEN_IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when the plan is made."""

    runtime: Runtime
    way: Way
    former: Activation | None
    room: Room
    when: str
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def leaver(self) -> Activation | None:
        former = self.former
        if former is None:
            return None
        return former if is_to_leave(former, self.runtime, self.way) else None


def running(at: Situation) -> int:
    if at.way.restarts:
        return in_flight(at.runtime.name, "")
    former = at.leaver
    return in_flight(former.runtime.name, former.served_name) if former else 0


def title_of(name: str, at: Situation) -> str:
    server = {"runtime": at.runtime.display_name, "model": at.way.name}
    if name == "checking":
        return (
            _("Check the files of %(model)s, its name and the memory") % server
            if at.way.starts
            else _("Check that %(runtime)s answers and lists %(model)s") % server
        )
    if name == "draining":
        return _draining_title(at)
    if name == "stopping":
        return _stopping_title(at)
    if name == "loading":
        return _loading_title(at)
    if name == "releasing":
        return _releasing_title(at)
    return {
        "configuring": _("Write the configuration of %(runtime)s") % server,
        "starting": _starting_title(at),
        "confirming": _("Confirm with one real token"),
        "committing": _("Make it the active model and tell every open page"),
    }[name]


def _draining_title(at: Situation) -> str:
    if at.when == WHEN_IDLE:
        return _("Wait until no request runs on the model that is active now")
    words = {"n": DRAIN_SECONDS, "count": running(at)}
    return _("Let running requests end (%(count)s now), at most %(n)s s") % words


def _stopping_title(at: Situation) -> str:
    if at.way.restarts:
        return _("Stop %(runtime)s") % {"runtime": at.runtime.display_name}
    names = [each.name for each in at.room.relief]
    if at.leaver is not None and not at.room.is_beside:
        names.insert(0, at.leaver.served_name)
    return _("Free the memory of %(names)s") % {"names": ", ".join(names)}


def _starting_title(at: Situation) -> str:
    return _("Start %(runtime)s and wait until it lists the model, at most %(n)s s") % {
        "runtime": at.runtime.display_name,
        "n": f"{settings.ENV.VLLM_START_TIMEOUT_SECONDS:.0f}",
    }


def _loading_title(at: Situation) -> str:
    if at.runtime.in_memory(at.way.served) and not at.way.starts:
        return _("Nothing to load: %(model)s is in memory already") % {
            "model": at.way.name
        }
    seconds = f"{settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL:.0f}"
    return _("Load it into memory, at most %(n)s s") % {"n": seconds}


def _releasing_title(at: Situation) -> str:
    former = at.leaver
    if former is None or (at.way.starts and not at.room.is_beside):
        return _("Nothing to unload")
    if former.runtime.kind not in CAN_UNLOAD:
        return _("Stop %(runtime)s; its running requests have %(n)s s to end") % {
            "runtime": former.runtime.display_name,
            "n": DRAIN_SECONDS,
        }
    model = {"model": former.served_name}
    if former.runtime.in_memory(former.served_name) is None:
        return _("Nothing to unload: %(model)s is not in memory") % model
    return _("Unload %(model)s; its running requests have %(n)s s to end") % {
        **model,
        "n": DRAIN_SECONDS,
    }


# What changes, and what follows


def changes(at: Situation) -> tuple[Change, ...]:
    """The settings that stand for it, then what its server is started with."""
    runtime, launch = at.runtime, at.way.launch
    lines = []
    name = ACTIVE_MODEL.get(runtime.kind)
    if name and runtime.last_model != at.way.name:
        lines.append(Change(name=name, before=runtime.last_model, after=at.way.name))
    before = at.former.runtime.name if at.former else ""
    if before != runtime.name:
        server = Change(name="ACTIVE_LLM_SERVER", before=before, after=runtime.name)
        lines.append(server)
    if launch is not None:
        lines += changed(runtime, was_launched(runtime), launch)
    return tuple(lines)


def effects(at: Situation) -> tuple[str, ...]:
    """What else changes, in sentences."""
    former = at.former
    if former is None:
        told = [_("Programs that ask for no model by name get answers from now on.")]
    elif (former.runtime_id, former.served_name) == (at.runtime.pk, at.way.served):
        told = [_("It is active already; this confirms it once more.")]
    else:
        words = _("Programs that ask for no model by name no longer reach %(model)s.")
        told = [words % {"model": former.model_name}, *_of_former(at, former)]
    told += [
        _("%(model)s is unloaded from %(runtime)s to make room.")
        % {"model": each.name, "runtime": each.runtime.display_name}
        for each in at.room.relief
    ]
    return tuple(told)


def _of_former(at: Situation, former: Activation) -> list[str]:
    """What becomes of the model that is active now."""
    runtime = former.runtime
    named = {"model": former.model_name, "runtime": runtime.display_name}
    if at.way.restarts and runtime.pk == at.runtime.pk:
        words = _("%(runtime)s restarts: nobody answers meanwhile, requests wait.")
        return [words % named]
    if runtime.kind in CAN_UNLOAD and runtime.in_memory(former.served_name) is None:
        return []
    if at.leaver is None:
        return [_("%(model)s stays in the memory of %(runtime)s.") % named]
    if runtime.kind not in CAN_UNLOAD:
        words = _("%(runtime)s is stopped: one runtime is active at a time.")
        return [words % named]
    return [_("%(model)s leaves memory once its running requests have ended.") % named]


def if_it_fails(former: Activation | None) -> str:
    if former is None:
        return _("If a step fails, no model is active, as now.")
    words = _("If a step fails, %(model)s on %(runtime)s answers again by itself.")
    named = {"model": former.model_name, "runtime": former.runtime.display_name}
    return words % named
