"""Questions come in here: understood, given a route's name, and handed to the runner.

Called from Django's threads. A task goes through the gateway's own ASGI door like every
request, so that routing, deadlines, fallback and history are the same.
"""

from __future__ import annotations

import json
from typing import Any

from runtime_app.choices import LlmStatus, TaskMode
from runtime_app.gateway import snapshot as snapshots
from runtime_app.gateway.answering import Answering
from runtime_app.gateway.app import app as gateway
from runtime_app.gateway.entries import Snapshot
from runtime_app.gateway.names import ACTIVE_WORDS, in_order
from runtime_app.gateway.routing import Asked, Decision, choose_route
from runtime_app.gateway.task_runner import runner
from runtime_app.gateway.upstream import without_credentials
from runtime_app.models import Task
from runtime_app.services import ask, fast_path, sessions
from runtime_app.services.ask import Chosen, Question
from venom_site.lib.access import Principal, Scope
from venom_site.lib.errors import Forbidden, OutsideProfile


class PaidModeOff(Forbidden):
    """The question forces a paid cloud while paid mode is off."""

    code = "paid_mode_off"


_FORBIDDEN: dict[str, type[Forbidden]] = {
    PaidModeOff.code: PaidModeOff,
    OutsideProfile.code: OutsideProfile,
}


def take(question: Question, *, actor: Principal) -> Task:
    """The task of a question: answered by a template, or on its way to a model.

    Raises `Forbidden` for a server that the question may not force; any other refusal
    is the task's end and stands in its row.
    """
    if not question.provider and not question.images:
        template = fast_path.answer_to(question.content)
        if template is not None:
            return ask.keep_template_answer(question, template, actor=actor)
    snapshot = gateway.snapshot or snapshots.load()
    model = _wanted_model(question, snapshot)
    asked = Asked(model=model, may_operate=actor.has(Scope.OPERATE))
    decision = choose_route(asked, snapshot, snapshot.policy)
    refusal = decision.refusal
    if refusal is not None and refusal.code in _FORBIDDEN:
        raise _FORBIDDEN[refusal.code](refusal.message)
    task = ask.request_task(question, _chosen(decision), actor=actor)
    runner.hand_over(Answering(task, _body(task, model), actor.scopes))
    return task


def cancel(principal: Principal | None, identifier: str) -> Task:
    """Ask for the end of a task, wherever it is answered: here at once, elsewhere
    within two seconds."""
    task = ask.request_cancel(principal, identifier)
    runner.leave(task.pk)
    return task


def _wanted_model(question: Question, snapshot: Snapshot) -> str | None:
    """The model name that asks the gateway for what the question wants."""
    provider = question.provider
    if not provider:
        return question.model or None
    model = question.model.removeprefix(f"{provider}/")
    if model in ACTIVE_WORDS:
        model = _usual_model(provider, snapshot)
    return f"{provider}/{model}"


def _usual_model(provider: str, snapshot: Snapshot) -> str:
    """What a server without a named model is asked for: what is active on it, what was
    last, or the first it serves."""
    active = snapshot.active
    if active is not None and active.runtime.name == provider:
        return active.model_name
    for runtime in in_order(snapshot):
        if runtime.name == provider:
            return runtime.last_model or next(iter(runtime.served), "default")
    return "default"


def _chosen(decision: Decision) -> Chosen:
    """Whom the question is meant for as things stand."""
    route = decision.first
    if route is None:
        return Chosen()
    is_starting = decision.awaited is not None
    return Chosen(
        provider=route.runtime.provider,
        model=route.served_name,
        endpoint=without_credentials(route.runtime.endpoint),
        status=LlmStatus.STARTING if is_starting else LlmStatus.READY,
    )


def _body(task: Task, model: str | None) -> bytes:
    """The request of a task in OpenAI's words."""
    is_alone = task.mode == TaskMode.DIRECT
    before = [] if is_alone else sessions.turns_before(task)
    body: dict[str, Any] = {
        "messages": [*before, {"role": "user", "content": _content(task)}],
        "stream": True,
        **task.generation_params,
    }
    if model is not None:
        body["model"] = model
    return json.dumps(body).encode()


def _content(task: Task) -> str | list[dict[str, Any]]:
    if not task.images:
        return task.content
    images = [{"type": "image_url", "image_url": {"url": url}} for url in task.images]
    return [{"type": "text", "text": task.content}, *images]
