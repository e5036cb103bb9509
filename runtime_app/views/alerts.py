"""The page of alerts and its buttons.

A button answers htmx with the row it changed and a toast; without a script it sends
the browser back where it came from, where the message waits.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from runtime_app.choices import AlertView
from runtime_app.forms import SilenceForm
from runtime_app.models import Alert
from runtime_app.services import alert_lists, alerts
from venom_site.lib.access import Scope, needs, require
from venom_site.lib.errors import InvalidBody
from venom_site.lib.htmx import VenomRequest, back_to, toast, wants_part

PAGE_SIZE = 30


@needs(Scope.READ)
@require_safe
def alert_list(request: VenomRequest) -> HttpResponse:
    """`/alerts/`; `state` and `cursor` in the address. An unknown state means open."""
    view = request.GET.get("state", "")
    if view not in AlertView.values:
        view = AlertView.OPEN
    cursor = request.GET.get("cursor", "")
    page = alert_lists.list_alerts(limit=PAGE_SIZE, view=view, cursor=cursor)
    context = {
        "page": page,
        "alerts": alert_lists.with_before(page.items),
        "view": view,
        "last_closed_at": None if page.items else alert_lists.last_closed_at(),
        "live_topics": "alerts",
    }
    context |= alert_lists.summary()
    return render(request, "runtime_app/alert_list.html", context)


@needs(Scope.OPERATE)
@require_POST
def alert_silence(request: VenomRequest, pk: str) -> HttpResponse:
    """For one hour; the reason stands beside it as long."""
    actor = require(request.principal, Scope.OPERATE)
    form = SilenceForm(request.POST)
    if not form.is_valid():
        words = form.errors.get_json_data()["reason"]
        raise InvalidBody(" ".join(str(word["message"]) for word in words))
    reason = form.cleaned_data["reason"]
    alert = alerts.silence_alert(pk, hours=1, reason=reason, actor=actor)
    return _answer(request, alert, _("Silenced for 1 h. It goes on counting."))


@needs(Scope.OPERATE)
@require_POST
def alert_close(request: VenomRequest, pk: str) -> HttpResponse:
    actor = require(request.principal, Scope.OPERATE)
    alert = alerts.close_alert(pk, actor=actor)
    return _answer(request, alert, _("Closed. Seen again, it opens a new alert."))


def _answer(request: VenomRequest, alert: Alert, text: str) -> HttpResponse:
    if not wants_part(request):
        messages.success(request, text)
        return HttpResponseRedirect(back_to(request, alert.get_absolute_url()))
    shown = alert_lists.with_before([alert])[0]
    row = render_to_string(
        "runtime_app/_alert_row.html", {"shown": shown, "oob": False}, request=request
    )
    return HttpResponse(row + toast(request, text))
