"""Forms of the runtime pages; they check with the validators of the API's schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from runtime_app.schemas import server_address, server_key, server_name

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def _checked(check: Callable[[str], str], value: str, words: StrOrPromise) -> str:
    """The checked value, or the translated sentence that says what is wanted."""
    try:
        return check(value)
    except ValueError:
        raise ValidationError(words) from None


class AddServerForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        help_text=_("short, as in “workshop”: small letters, digits, - and _"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    base_url = forms.CharField(
        label=_("Address"),
        max_length=250,
        widget=forms.URLInput(attrs={"placeholder": "http://127.0.0.1:8080/v1"}),
    )
    key = forms.CharField(
        label=_("Key"),
        required=False,
        help_text=_("only if the server asks for one; stored encrypted"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        words = _(
            "Use small letters, digits, - and _ with a letter or digit first. ollama, "
            "vllm, openai, google and active are reserved."
        )
        return _checked(server_name, self.cleaned_data["name"], words)

    def clean_base_url(self) -> str:
        words = _(
            "Enter an address that begins with http:// or https://, without a user "
            "name, spaces, ? and #."
        )
        return _checked(server_address, self.cleaned_data["base_url"], words)

    def clean_key(self) -> str:
        words = _("Enter the whole key, without spaces; this one cannot be a key.")
        return _checked(server_key, self.cleaned_data["key"], words)


class ActivateForm(forms.Form):
    model = forms.CharField(label=_("Model"), max_length=200)
    when = forms.CharField(max_length=20, empty_value="now", required=False)
