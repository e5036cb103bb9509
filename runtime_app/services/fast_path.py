"""Answers without a model: help, the time, and how the infrastructure is.

A question that is a trigger phrase as a whole is answered in the phrase's language,
from rows alone: no server is asked, no conversation is read.
"""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runtime_app.choices import RuntimeStatus, Template
from runtime_app.models import Runtime, TriggerPhrase
from runtime_app.models.phrases import LONGEST_PHRASE, phrase_of
from runtime_app.services.active import active_activation


def answer_to(message: str) -> str | None:
    """The template's answer, or None for a question that a model must answer."""
    if len(message) > 2 * LONGEST_PHRASE:
        return None
    found = TriggerPhrase.objects.filter(phrase=phrase_of(message)).first()
    if found is None:
        return None
    with translation.override(found.language):
        return _ANSWERS[found.template]()


def _help() -> str:
    return _(
        "Write a message and the active model answers. One that begins with /gpt goes "
        "to OpenAI and one with /gem to Google Gemini, where paid mode is on. “What "
        "time is it” and “infrastructure status” are answered without a model. Models "
        "are installed on /models/ and made active on /runtimes/; /requests/ lists who "
        "answered what."
    )


def _time() -> str:
    now = timezone.now().astimezone(ZoneInfo(settings.TIME_ZONE))
    return _("It is %(time)s on %(date)s (%(zone)s).") % {
        "time": date_format(now, "TIME_FORMAT"),
        "date": date_format(now, "DATE_FORMAT"),
        "zone": settings.TIME_ZONE,
    }


def _infrastructure() -> str:
    rows = Runtime.objects.of_profile().in_order()
    servers = [_server(row) for row in rows] or [_("There is no runtime.")]
    return "\n".join([_active(), *servers])


def _active() -> str:
    activation = active_activation()
    if activation is None:
        return _("No model is active.")
    return _("“%(model)s” on %(runtime)s is active.") % {
        "model": activation.model_name,
        "runtime": activation.runtime.display_name,
    }


def _server(row: Runtime) -> str:
    count = len(row.served_models)
    said = _("%(runtime)s: %(status)s, %(models)s") % {
        "runtime": row.display_name,
        "status": str(RuntimeStatus(row.status).label).lower(),
        "models": ngettext("%(count)s model", "%(count)s models", count)
        % {"count": count},
    }
    loaded = ", ".join(model["name"] for model in row.loaded_models)
    if loaded:
        said += "; " + _("in memory: %(models)s") % {"models": loaded}
    return f"{said} – {row.error_message}" if row.error_message else said


_ANSWERS: dict[str, Callable[[], str]] = {
    Template.HELP: _help,
    Template.TIME: _time,
    Template.INFRA_STATUS: _infrastructure,
}
