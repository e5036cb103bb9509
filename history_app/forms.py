"""The filters of the requests page, parsed from its query string."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from history_app.choices import RequestStatus
from history_app.services.search import RequestFilters


class RequestFilterForm(forms.Form):
    """A value that does not fit is left out: a link of yesterday must still open."""

    status = forms.ChoiceField(
        label=_("Result"), required=False, choices=RequestStatus.choices
    )
    provider = forms.CharField(label=_("Provider"), required=False, max_length=60)
    model = forms.CharField(label=_("Model"), required=False, max_length=250)
    since = forms.DateTimeField(label=_("Since"), required=False)
    until = forms.DateTimeField(label=_("Until"), required=False)
    min_duration = forms.FloatField(
        label=_("Slower than, seconds"), required=False, min_value=0
    )
    error_code = forms.CharField(label=_("Error code"), required=False, max_length=60)
    key = forms.CharField(label=_("Asked by"), required=False, max_length=150)
    session_id = forms.CharField(label=_("Session"), required=False, max_length=64)
    fallback = forms.BooleanField(label=_("Fallback"), required=False)
    q = forms.CharField(
        label=_("Id, model or key begins with"), required=False, max_length=200
    )

    def filters(self) -> RequestFilters:
        self.is_valid()
        given = {name: v for name, v in self.cleaned_data.items() if v}
        return RequestFilters(**given)
