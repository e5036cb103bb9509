"""What people send about operations; the same limits as the schemas."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    OperationStatus,
    OperationType,
)
from models_app.services.probe import SECONDS_AT_MOST


class OperationFilterForm(forms.Form):
    """The query string of the list; a value we do not know filters nothing."""

    status = forms.ChoiceField(choices=OperationStatus, required=False)
    type = forms.ChoiceField(choices=OperationType, required=False)

    def chosen(self) -> dict[str, str]:
        """`status` and `type`, each empty for all."""
        self.is_valid()
        return {name: self.cleaned_data.get(name, "") for name in ("status", "type")}


class ProbeForm(forms.Form):
    """The self-test."""

    seconds = forms.IntegerField(
        label=_("Seconds"), min_value=1, max_value=SECONDS_AT_MOST
    )
    fail = forms.BooleanField(label=_("Let it fail half-way"), required=False)
