"""Pages of operations: the list, one of them, and their buttons.

A button answers htmx with the row it changed and a toast; without a script it sends
the browser back where it came from, where the message waits.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from models_app.choices import OperationStatus
from models_app.forms.operations import OperationFilterForm, ProbeForm
from models_app.models import Operation
from models_app.services import operation_lists, operations, probe
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import InvalidBody
from venom_site.lib.htmx import VenomRequest, back_to, toast, wants_part

PAGE_SIZE = 30


@needs(Scope.READ)
@require_safe
def operation_list(request: VenomRequest) -> HttpResponse:
    """`/operations/`, newest first; `status`, `type` and `cursor` in the address."""
    filters = OperationFilterForm(request.GET).chosen()
    cursor = request.GET.get("cursor", "")
    page = operation_lists.list_operations(
        limit=PAGE_SIZE,
        status=filters["status"],
        operation_type=filters["type"],
        cursor=cursor,
    )
    context = {
        "page": page,
        "filters": filters,
        "form": ProbeForm(initial={"seconds": 20}),
        "live_topics": "ops",
    }
    context |= operation_lists.summary()
    return render(request, "models_app/operation_list.html", context)


@needs(Scope.READ)
@require_safe
def operation_detail(request: VenomRequest, pk: str) -> HttpResponse:
    operation = operations.get_operation(pk)
    context = {"operation": operation, "live_topics": f"operation-{operation.pk}"}
    return render(request, "models_app/operation_detail.html", context)


@needs(Scope.OPERATE)
@require_POST
def operation_probe(request: VenomRequest) -> HttpResponse:
    """Start a self-test and show it."""
    actor = require(request.principal, Scope.OPERATE)
    form = ProbeForm(request.POST)
    if not form.is_valid():
        words = form.errors.get_json_data().get("seconds", [])
        raise InvalidBody(" ".join(str(word["message"]) for word in words) or None)
    operation = probe.request_probe(
        form.cleaned_data["seconds"], actor=actor, fail=form.cleaned_data["fail"]
    )
    messages.success(request, _("The self-test has been queued."))
    if wants_part(request):
        return HttpResponse(
            status=204, headers={"HX-Redirect": operation.get_absolute_url()}
        )
    return redirect(operation)


def _change(
    request: VenomRequest, pk: str, service: Callable[..., Operation]
) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    operation = service(operations.get_operation(pk), actor=actor)
    operation = operations.get_operation(operation.pk)
    text = _done(operation)
    if wants_part(request):
        return _row_and_toast(request, operation, text)
    messages.success(request, text)
    return HttpResponseRedirect(back_to(request, operation.get_absolute_url()))


def _done(operation: Operation) -> str:
    """What has become of it, in the words of its present state."""
    title = {"title": operation.title}
    if operation.status == OperationStatus.CANCELLED:
        return _("“%(title)s” has been cancelled.") % title
    if operation.cancel_requested:
        return _("“%(title)s” is being cancelled.") % title
    if operation.pause_requested:
        return _("“%(title)s” has been paused.") % title
    return _("“%(title)s” goes on.") % title


def _row_and_toast(
    request: VenomRequest, operation: Operation, text: str
) -> HttpResponse:
    row = render_to_string(
        "models_app/_operation_row.html",
        {"operation": operation, "oob": True},
        request=request,
    )
    return HttpResponse(row + toast(request, text))


@needs(Scope.OPERATE)
@require_POST
def operation_cancel(request: VenomRequest, pk: str) -> HttpResponse:
    return _change(request, pk, operations.cancel_operation)


@needs(Scope.OPERATE)
@require_POST
def operation_retry(request: VenomRequest, pk: str) -> HttpResponse:
    return _change(request, pk, operations.retry_operation)


@needs(Scope.OPERATE)
@require_POST
def operation_pause(request: VenomRequest, pk: str) -> HttpResponse:
    return _change(request, pk, operations.pause_operation)


@needs(Scope.OPERATE)
@require_POST
def operation_resume(request: VenomRequest, pk: str) -> HttpResponse:
    return _change(request, pk, operations.resume_operation)
