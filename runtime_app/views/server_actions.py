"""Starting, stopping and restarting a server: what it breaks, then the button.

A page of its own; where a script runs the same page opens as a dialog. The button
leads to the operation, which is live.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from models_app.models import InstalledModel, Operation
from runtime_app.choices import RuntimeKind
from runtime_app.forms import StartForm
from runtime_app.models import Runtime
from runtime_app.services import runtimes, servers
from runtime_app.services.server_effects import effects_on
from runtime_app.views.cards import cards
from venom_site.lib.access import Principal, Scope, needs, require
from venom_site.lib.htmx import VenomRequest

Answers = dict[str, str]  # of the form


@dataclass(frozen=True, slots=True)
class Action:
    """`title` is verb and object, `%(name)s` the server's; `ends` what runs on it."""

    verb: str
    icon: str
    title: Promise | str
    ends: bool
    idle: Promise | str  # the same, once no request runs on it
    ask: Callable[[Runtime, Principal, Answers], Operation]

    @property
    def url_name(self) -> str:
        return f"runtime-{self.verb}"


def _start(runtime: Runtime, actor: Principal, given: Answers) -> Operation:
    return servers.request_start(runtime, actor=actor, model=given["model"])


def _stop(runtime: Runtime, actor: Principal, given: Answers) -> Operation:
    return servers.request_stop(runtime, actor=actor, when=given["when"])


def _restart(runtime: Runtime, actor: Principal, given: Answers) -> Operation:
    return servers.request_restart(runtime, actor=actor, when=given["when"])


ACTIONS = {
    "start": Action("start", "play", _("Start %(name)s"), False, "", _start),
    "stop": Action("stop", "ban", _("Stop %(name)s"), True, _("Stop when idle"), _stop),
    "restart": Action(
        "restart",
        "rotate-cw",
        _("Restart %(name)s"),
        True,
        _("Restart when idle"),
        _restart,
    ),
}


@needs(Scope.OPERATE)
@require_http_methods(["GET", "HEAD", "POST"])
def server_action(request: VenomRequest, name: str, verb: str) -> HttpResponse:
    """GET says what it does to others, POST asks for it and leads to the operation."""
    row, action = runtimes.get_runtime(name), ACTIONS[verb]
    if request.method != "POST":
        return _page(request, row, action, StartForm(initial=_usual(row)))
    form = StartForm(request.POST)
    if not form.is_valid():
        return _page(request, row, action, form, status=422)
    actor = require(request.principal, Scope.OPERATE)
    return redirect(action.ask(row, actor, form.cleaned_data))


def _usual(row: Runtime) -> dict[str, str]:
    return {"model": row.last_model}


def _page(
    request: VenomRequest,
    row: Runtime,
    action: Action,
    form: StartForm,
    status: int = 200,
) -> HttpResponse:
    context = {
        "runtime": cards([row])[0],
        "action": action,
        "title": action.title % {"name": row.display_name},
        "effects": effects_on(row),
        "choices": _models(row) if action.verb == "start" else [],
        "form": form,
        "live_topics": "runtimes",
    }
    template = "runtime_app/server_action.html"
    return render(request, template, context, status=status)


def _models(row: Runtime) -> list[str]:
    """What a server that serves one model can be started with."""
    if row.kind != RuntimeKind.VLLM:
        return []
    held = InstalledModel.objects.filter(
        node_id=row.node_id, provider__in=runtimes.providers_of(row)
    )
    return sorted(set(held.values_list("name", flat=True)))
