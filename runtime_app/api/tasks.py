"""Questions to a model as tasks: ask, look, cancel (docs/api.md).

The stream of one task is plain ASGI (`runtime_app/gateway/task_stream.py`).
"""

from __future__ import annotations

from typing import Any

from ninja import Router, Status

from runtime_app.chat_schemas import TaskBody, TaskOut, task_payload
from runtime_app.gateway import tasks
from runtime_app.models import Task
from runtime_app.services import ask
from venom_site.lib.access import Scope, require
from venom_site.lib.htmx import VenomRequest

router = Router()


@router.post(
    "",
    response={201: TaskOut},
    by_alias=True,
    exclude_unset=True,
    summary="Ask the active model",
)
def create_task(request: VenomRequest, body: TaskBody) -> Status[dict[str, Any]]:
    """Answers at once; the answer grows in the task. HELP, TIME and INFRA_STATUS
    questions are answered from templates, in this answer already."""
    actor = require(request.principal, Scope.INFERENCE)
    content, provider = ask.understood(body.content, body.forced_provider or "")
    params = body.generation_params
    question = ask.Question(
        content=content,
        mode=body.mode,
        session_id=body.session_id or "",
        model=body.model or "",
        provider=provider,
        images=body.images,
        params=params.model_dump(exclude_none=True) if params else {},
        store=body.store,
    )
    task = tasks.take(question, actor=actor)
    return Status(201, task_payload(task, may_view=True))


@router.get(
    "/{task_id}",
    response=TaskOut,
    by_alias=True,
    exclude_unset=True,
    summary="Look at one",
)
def get_task(request: VenomRequest, task_id: str) -> dict[str, Any]:
    """One's own with `inference`; any with `read`, without contents."""
    return _shown(request, ask.get_task(ask.visible_to(request.principal), task_id))


@router.post(
    "/{task_id}/cancel",
    response=TaskOut,
    by_alias=True,
    exclude_unset=True,
    summary="Cancel one",
)
def cancel_task(request: VenomRequest, task_id: str) -> dict[str, Any]:
    """One's own with `inference`, any with `operate`. It ends within two seconds; one
    that has ended stays as it is."""
    return _shown(request, tasks.cancel(request.principal, task_id))


def _shown(request: VenomRequest, task: Task) -> dict[str, Any]:
    principal = request.principal
    may_view = principal is not None and ask.may_view(task, principal)
    return task_payload(task, may_view=may_view)
