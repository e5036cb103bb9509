"""The first page: is anything wrong, what runs now, what changed, what to do first."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from history_app.models import RequestRecord
from models_app.choices import PROFILE_PROVIDERS
from models_app.models import Operation
from models_app.services.nodes import this_node
from models_app.services.storage import Storage, storage_of
from models_app.services.suggestion import (
    Suggestion,
    obstacle,
    read_room,
    suggestion_for,
)
from runtime_app.choices import RuntimeStatus
from runtime_app.services.alert_lists import standing
from runtime_app.views.cards import RuntimeCard, all_cards
from runtime_app.views.stat_cards import stat_cards
from venom_site.clients import hardware
from venom_site.lib.access import Scope, needs

LATEST = 8
MOST_RUNNING = 10
MOST_CHANGES = 5
_TROUBLE = frozenset(
    {RuntimeStatus.OFFLINE, RuntimeStatus.DEGRADED, RuntimeStatus.CONFLICT}
)
_ANSWERS = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})


@dataclass(frozen=True, slots=True)
class FirstModel:
    """What an installation without a model is offered, or why it is not."""

    suggestion: Suggestion | None
    obstacle: str


@needs(Scope.READ)
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    runtimes, now = all_cards(), standing()
    running = Operation.objects.running().for_display().newest_first()
    finished = Operation.objects.finished().newest_first()
    storage = storage_of(this_node())
    latest = list(RequestRecord.objects.newest_first().for_lists()[:LATEST])
    context = {
        "sentence": sentence(runtimes, alerts=now.runtimes),
        "standing": now,  # the base template needs it too: asked for once
        "runtimes": runtimes,
        "first_model": first_model(runtimes, storage),
        "needs_cloud_key": needs_cloud_key(),
        "profile": settings.RUNTIME_PROFILE,
        "running_operations": list(running[:MOST_RUNNING]),
        "changes": list(finished[:MOST_CHANGES]),
        "latest_requests": latest,
        "stats": stat_cards() if latest else [],
        "disk": hardware.disk(settings.DATA_DIR),
        "storage": storage,
        "memory": hardware.memory(),
        "gpus": hardware.gpus(),
        "live_topics": "ops,runtimes,requests,alerts",
    }
    return render(request, "runtime_app/overview.html", context)


def sentence(runtimes: list[RuntimeCard], *, alerts: list[str]) -> str:
    """Is anything wrong, in one sentence. `alerts` names the server of each open one:
    a server in trouble and its alert are one thing."""
    wrong = {card.name for card in runtimes if _is_wrong(card)}
    things = len(wrong) + sum(name not in wrong for name in alerts)
    if things:
        is_rest_well = len(wrong) < len(runtimes)
        return (
            _attention(things) + (" " + _("Everything else is running.")) * is_rest_well
        )
    if not runtimes:
        return _("No runtime is set up.")
    if not any(card.is_active for card in runtimes):
        return _("No model is active yet.")
    return _("Everything is running.")


def _is_wrong(card: RuntimeCard) -> bool:
    is_trouble = card.status in _TROUBLE and not card.is_stopped
    return is_trouble or card.is_unstable


def _attention(things: int) -> str:
    if things == 1:
        return _("One thing needs attention.")
    words = ngettext(
        "%(n)s thing needs attention.", "%(n)s things need attention.", things
    )
    return words % {"n": things}


def first_model(runtimes: list[RuntimeCard], storage: Storage) -> FirstModel | None:
    """An offer while nothing is there or on its way, and Ollama could take it."""
    is_empty = not any(card.models for card in runtimes)
    could = any(c.provider == "ollama" and c.status in _ANSWERS for c in runtimes)
    if not (is_empty and could) or storage.used_bytes or storage.reserved_bytes:
        return None
    room = read_room(storage)
    return FirstModel(suggestion_for(room), obstacle(room))


def needs_cloud_key() -> bool:
    """The profile has no local model, and no cloud could answer either."""
    env = settings.ENV
    keys = (env.OPENAI_API_KEY, env.GOOGLE_API_KEY)
    has_local = PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]
    return not has_local and not any(key.get_secret_value() for key in keys)
