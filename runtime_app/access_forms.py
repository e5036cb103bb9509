"""Forms of the sign-in pages; what they do stands in `governance/links.py`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _


class SignInForm(AuthenticationForm):
    """Name and password; which of the two is wrong is not said."""

    error_messages = {
        "invalid_login": _("This name and this password do not belong together."),
        "inactive": _("This account is switched off. An admin can switch it on."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Name")


class OwnerForm(forms.Form):
    """Who the owner is; asked once, by the first link of an installation."""

    username = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        initial="owner",
        validators=[User.username_validator],
        widget=forms.TextInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        help_text=_("Leave it empty to sign in by link only."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    repeated = forms.CharField(
        label=_("Password again"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_username(self) -> str:
        return str(self.cleaned_data["username"]) or "owner"

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        password = given.get("password", "")
        if password != given.get("repeated", ""):
            self.add_error("repeated", _("The two passwords differ."))
        elif password:
            self._check(password, str(given.get("username", "")))
        return given

    def _check(self, password: str, name: str) -> None:
        try:
            validate_password(password, User(username=name))
        except forms.ValidationError as error:
            self.add_error("password", error)
