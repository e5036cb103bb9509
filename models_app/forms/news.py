"""The query string of news."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    CatalogSource,
)
from models_app.schemas.news import FIRST_MONTH
from venom_site.lib import months


class NewsForm(forms.Form):
    """The query string of news; what is no month is the present one, and is said."""

    part = forms.ChoiceField(choices=CatalogSource, required=False)
    month = forms.CharField(required=False)
    page = forms.IntegerField(min_value=1, max_value=10**6, required=False)

    def clean_month(self) -> str:
        month: str = self.cleaned_data["month"]
        if not month:
            return month
        try:
            return months.checked(month, first=FIRST_MONTH)
        except ValueError:
            raise forms.ValidationError(
                _("This is no month of ours. Shown is the present one.")
            ) from None

    def part_asked(self) -> str:
        """The section to ask its source for now; empty for none."""
        self.is_valid()
        part: str = self.cleaned_data.get("part", "")
        return part

    def chosen_month(self) -> str:
        self.is_valid()
        return self.cleaned_data.get("month") or months.this_month()

    def page_number(self) -> int:
        self.is_valid()
        return self.cleaned_data.get("page") or 1
