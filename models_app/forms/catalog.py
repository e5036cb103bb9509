"""The query strings of catalogues."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    ProviderName,
)
from models_app.services.catalog_blocks import (
    CATALOG_ROWS,
    ON_PAGES,
    TRENDING_ROWS,
    Wish,
)
from models_app.services.catalog_words import read_words
from venom_site.lib.names import LONGEST_NAME, is_model_name

CATALOG_PAGES = ("model-trending", "model-catalog")


class CatalogForm(forms.Form):
    """What a page of catalogues shows; a value we do not know asks for nothing.

    `part` is one source, `cursor` a later page of what it found, `page` the page that
    a button stood on.
    """

    q = forms.CharField(required=False, max_length=200)
    sort = forms.ChoiceField(choices=[("newest", "")], required=False)
    part = forms.ChoiceField(choices=[(each, "") for each in ON_PAGES], required=False)
    cursor = forms.CharField(required=False, max_length=2000)
    page = forms.ChoiceField(
        choices=[(each, "") for each in CATALOG_PAGES], required=False
    )

    def chosen(self, name: str) -> str:
        self.is_valid()
        value: str = self.cleaned_data.get(name, "")
        return value

    def wish(self, page: str) -> Wish:
        if page == CATALOG_PAGES[0]:
            newest = self.chosen("sort") == "newest"
            return Wish(newest=newest, is_ranked=not newest, limit=TRENDING_ROWS)
        return Wish(
            words=read_words(self.chosen("q")),
            cursor=self.chosen("cursor") if self.chosen("part") else "",
            limit=CATALOG_ROWS,
        )

    def query(self) -> str:
        """What leads to the same page again."""
        names = ["q", "sort"]
        if self.chosen("cursor"):
            names += ["part", "cursor"]
        given: list[tuple[str, Any]] = [(name, self.chosen(name)) for name in names]
        return urlencode([pair for pair in given if pair[1]])


class VariantsForm(forms.Form):
    """One model of one source."""

    provider = forms.ChoiceField(choices=ProviderName)
    name = forms.CharField(max_length=LONGEST_NAME)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_model_name(name):
            raise forms.ValidationError(_("This is not a model's name."))
        return name
