"""The filters of the requests page, parsed from its query string."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from history_app.choices import RequestStatus
from history_app.services.filters import RequestFilters

WINDOWS = (
    ("1", _("Last hour")),
    ("24", _("Last 24 h")),
    ("168", _("Last 7 days")),
    ("720", _("Last 30 days")),
)
CHOICES = {**dict(WINDOWS), **dict(RequestStatus.choices)}


class RequestFilterForm(forms.Form):
    """A value that does not fit is left out: a link of yesterday must still open."""

    status = forms.ChoiceField(
        label=_("Result"), required=False, choices=RequestStatus.choices
    )
    provider = forms.CharField(label=_("Provider"), required=False, max_length=60)
    model = forms.CharField(label=_("Model"), required=False, max_length=250)
    hours = forms.TypedChoiceField(
        label=_("Time"), required=False, choices=WINDOWS, coerce=int, empty_value=None
    )
    since = forms.DateTimeField(label=_("Since"), required=False)
    until = forms.DateTimeField(label=_("Until"), required=False)
    min_duration = forms.FloatField(
        label=_("Slower than, seconds"), required=False, min_value=0
    )
    error_code = forms.CharField(label=_("Error code"), required=False, max_length=60)
    key = forms.CharField(label=_("Asked by"), required=False, max_length=150)
    session_id = forms.CharField(label=_("Session"), required=False, max_length=64)
    fallback = forms.BooleanField(label=_("Fallback"), required=False)
    cloud = forms.BooleanField(label=_("Cloud"), required=False)
    q = forms.CharField(
        label=_("Id, model or key begins with"), required=False, max_length=200
    )

    def filters(self) -> RequestFilters:
        given = self.given()
        hours = given.pop("hours", None)
        wanted = RequestFilters(is_cloud=given.pop("cloud", False), **given)
        if hours and wanted.since is None:
            since = timezone.now() - timedelta(hours=hours)
            wanted = replace(wanted, since=since)
        return wanted

    def given(self) -> dict[str, Any]:
        """What narrows the list, by field."""
        self.is_valid()
        return {name: v for name, v in self.cleaned_data.items() if v}

    def words(self) -> dict[str, str]:
        """What narrows the list, in words, by field."""
        return {name: self._word(name, value) for name, value in self.given().items()}

    def _word(self, name: str, value: Any) -> str:
        label = str(self.fields[name].label)
        if value is True:
            return label
        if name in ("hours", "status"):
            return str(CHOICES[str(value)])
        if isinstance(value, datetime):
            return f"{label}: {date_format(localtime(value), 'j M H:i')}"
        return (
            f"{label}: {value:g}" if isinstance(value, float) else f"{label}: {value}"
        )

    def export_query(self) -> str:
        """The same filters as the call of docs/api.md takes them."""
        given = self.given()
        since = self.filters().since
        given.pop("hours", None)
        moments = {"since": since, "until": given.get("until")}
        given |= {name: at.isoformat() for name, at in moments.items() if at}
        return urlencode(given)
