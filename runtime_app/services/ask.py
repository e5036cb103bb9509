"""Questions become tasks: what a caller wrote is read, checked and written down.

Which server answers is the gateway's choice (`gateway.tasks`); here are the rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from history_app.choices import CLOUD_PROVIDERS, RequestStatus
from history_app.recorder import recorder
from runtime_app.chat_schemas import progress_payload
from runtime_app.choices import LlmStatus, MessageRole
from runtime_app.events import task_changed
from runtime_app.models import Task
from runtime_app.querysets import TaskQuerySet
from runtime_app.services import sessions
from runtime_app.services.runtimes import find_runtime
from venom_site.lib.access import Principal, Scope
from venom_site.lib.errors import NotFound
from venom_site.lib.events import publish

PATH = "/api/v1/tasks"
_ALIASES = {"gpt": "openai", "gem": "google", "google-gemini": "google"}
_PREFIX = re.compile(r"\s*[/@](gpt|gem)\s+(?=\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody wants answered, with the wish of a `/gpt` or `/gem` understood."""

    content: str
    mode: str
    session_id: str = ""
    model: str = ""
    provider: str = ""
    images: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    store: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The route that a question takes; empty where there is none."""

    provider: str = ""
    model: str = ""
    endpoint: str = ""
    status: str = ""


def understood(content: str, provider: str = "") -> tuple[str, str]:
    """The text without its `/gpt` or `/gem`, and the provider it is for, if any.

    Raises `UnknownRuntime` and `OutsideProfile` for a server that cannot be asked.
    """
    prefix = _PREFIX.match(content)
    if prefix is not None:
        return content[prefix.end() :], _ALIASES[prefix[1].lower()]
    named = _ALIASES.get(provider, provider)
    if named and named not in CLOUD_PROVIDERS:
        find_runtime(named)
    return content, named


def request_task(question: Question, chosen: Chosen, *, actor: Principal) -> Task:
    """The row of a question that waits for its answer."""
    with transaction.atomic():
        task = _create(question, chosen, actor)
        publish(task_changed(progress_payload(task)))
    return task


def keep_template_answer(question: Question, answer: str, *, actor: Principal) -> Task:
    """The row of a question that a template answered; the history tells of it too."""
    began = timezone.now()
    with transaction.atomic():
        task = _create(question, Chosen(status=LlmStatus.SKIPPED), actor)
        task.result, task.status = answer, RequestStatus.COMPLETED
        task.finished_at = task.updated_at = timezone.now()
        task.save(update_fields=["result", "status", "finished_at", "updated_at"])
        sessions.remember(task, role=MessageRole.ASSISTANT, content=answer)
        publish(task_changed(progress_payload(task)))
    row = recorder.begin(
        pk=task.pk,
        prompt=question.content if question.store else "",
        path=PATH,
        session_id=task.session.identifier,
        key_id=asker_id(task.owner),
        key_name=task.owner_name,
    )
    seconds = (task.finished_at - began).total_seconds()
    row.end(RequestStatus.COMPLETED, http_status=201, duration_seconds=seconds)
    return task


def asker_id(owner: str) -> str:
    """How the history names who asked: the key's id, `user:<id>` for a person."""
    return owner.removeprefix("key:")


def _create(question: Question, chosen: Chosen, actor: Principal) -> Task:
    title = question.content if question.store else ""
    task = Task(
        session=sessions.begin(question.session_id, actor, title=title),
        owner=sessions.owner_of(actor),
        owner_name=actor.name,
        mode=question.mode,
        content=question.content,
        images=question.images,
        requested_model=question.model,
        forced_provider=question.provider,
        generation_params=question.params,
        store=question.store,
        llm_provider=chosen.provider,
        llm_model=chosen.model,
        llm_endpoint=chosen.endpoint,
        llm_status=chosen.status,
    )
    task.full_clean(validate_constraints=False)
    task.save(force_insert=True)
    sessions.remember(task, role=MessageRole.USER, content=question.content)
    return task


def visible_to(principal: Principal | None) -> TaskQuerySet:
    """One's own with `inference`, all with `read`."""
    rows = Task.objects.select_related("session")
    return sessions.reachable(rows, principal, others=Scope.READ)


def get_task(rows: TaskQuerySet, identifier: str) -> Task:
    """Raises `NotFound`, also for what can be no id."""
    try:
        found = rows.filter(pk=UUID(identifier)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound(_("There is no such task, or it is not yours to see."))
    return found


def may_view(task: Task, principal: Principal) -> bool:
    """Who asked sees the contents; others where they may see those of requests."""
    is_own = task.owner == sessions.owner_of(principal)
    return is_own or principal.may_view_payload


def request_cancel(principal: Principal | None, identifier: str) -> Task:
    """Ask for the end of one's own task, or with `operate` of anybody's. One that has
    ended stays as it is."""
    every = Task.objects.select_related("session")
    rows = sessions.reachable(every, principal, others=Scope.OPERATE)
    with transaction.atomic():
        task = get_task(rows, identifier)
        running = Task.objects.running().filter(pk=task.pk)
        if running.update(cancel_requested=True):
            publish(task_changed(progress_payload(task)))
    return task
