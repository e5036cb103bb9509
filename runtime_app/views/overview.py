"""The first page: is anything wrong, what runs now, what was asked last."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from history_app.models import RequestRecord
from models_app.models import Operation
from runtime_app.choices import RuntimeStatus
from runtime_app.views.cards import RuntimeCard, all_cards
from venom_site.clients import hardware
from venom_site.lib.access import Scope, needs

LATEST = 8
MOST_RUNNING = 10
_TROUBLE = frozenset(
    {RuntimeStatus.OFFLINE, RuntimeStatus.DEGRADED, RuntimeStatus.CONFLICT}
)


@needs(Scope.READ)
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    runtimes = all_cards()
    running = Operation.objects.running().for_display().newest_first()
    context = {
        "sentence": sentence(runtimes),
        "runtimes": runtimes,
        "running_operations": list(running[:MOST_RUNNING]),
        "latest_requests": list(RequestRecord.objects.newest_first()[:LATEST]),
        "disk": hardware.disk(settings.DATA_DIR),
        "memory": hardware.memory(),
        "live_topics": "ops,runtimes,requests",
    }
    return render(request, "runtime_app/overview.html", context)


def sentence(runtimes: list[RuntimeCard]) -> str:
    """Is anything wrong, in one sentence."""
    wrong = sum(card.status in _TROUBLE or card.is_unstable for card in runtimes)
    if wrong:
        return ngettext(
            "%(n)s runtime needs attention.", "%(n)s runtimes need attention.", wrong
        ) % {"n": wrong}
    if not runtimes:
        return _("No runtime is set up.")
    if not any(card.is_active for card in runtimes):
        return _("No model is active yet.")
    return _("Everything is running.")
