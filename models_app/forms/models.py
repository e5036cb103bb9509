"""What people send about installed models; the same limits as the schemas."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    ListOrder,
    ListState,
    ProviderName,
)
from models_app.services.model_filters import ModelFilter
from venom_site.lib.names import LONGEST_NAME


class ModelFilterForm(forms.Form):
    """The query string of the list; a value we do not know filters nothing."""

    q = forms.CharField(required=False, max_length=LONGEST_NAME)
    provider = forms.ChoiceField(choices=ProviderName, required=False)
    family = forms.CharField(required=False, max_length=80)
    state = forms.ChoiceField(choices=ListState, required=False)
    unused = forms.BooleanField(required=False)
    order = forms.ChoiceField(choices=ListOrder, required=False)
    fits = forms.BooleanField(required=False)
    page = forms.IntegerField(min_value=1, max_value=10**6, required=False)

    def chosen(self) -> ModelFilter:
        self.is_valid()
        names = ("provider", "family", "state", "order")
        return ModelFilter(
            query=self.cleaned_data.get("q", ""),
            unused=self.cleaned_data["unused"],
            fits=self.cleaned_data["fits"],
            **{name: self.cleaned_data.get(name, "") for name in names},
        )

    def page_number(self) -> int:
        self.is_valid()
        return self.cleaned_data.get("page") or 1

    def words(self) -> dict[str, str]:
        """What narrows the list, by the name of its field, as people read it."""
        filters = self.chosen()
        words = {
            "q": f"“{filters.query}”" if filters.query else "",
            "provider": filters.provider and ProviderName(filters.provider).label,
            "family": filters.family,
            "state": filters.state and ListState(filters.state).label,
            "unused": _("Unused for 30 days") if filters.unused else "",
            "order": filters.order and ListOrder(filters.order).label,
            "fits": _("Fits this machine") if filters.fits else "",
        }
        return {name: str(word) for name, word in words.items() if word}
