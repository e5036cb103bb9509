"""Forms of this app: servers, activation and memory, and signing in.

Values are checked by the validators of the API's schemas; what a sign-in does stands
in `governance/links.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from runtime_app.runtimes.generation import Parameter
from runtime_app.schemas import server_address, server_key, server_name
from runtime_app.services.parameters import ModelParameters

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def _checked(check: Callable[[str], str], value: str, words: StrOrPromise) -> str:
    """The checked value, or the translated sentence that says what is wanted."""
    try:
        return check(value)
    except ValueError:
        raise ValidationError(words) from None


class SilenceForm(forms.Form):
    reason = forms.CharField(label=_("Why"), max_length=200)


class ServerForm(forms.Form):
    """Where an OpenAI-compatible server answers, and its key."""

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

    def clean_base_url(self) -> str:
        words = _(
            "Enter an address that begins with http:// or https://, without a user "
            "name, spaces, ? and #."
        )
        return _checked(server_address, self.cleaned_data["base_url"], words)

    def clean_key(self) -> str:
        words = _("Enter the whole key, without spaces; this one cannot be a key.")
        return _checked(server_key, self.cleaned_data["key"], words)


class AddServerForm(ServerForm):
    field_order = ("name", "base_url", "key")
    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        help_text=_("short, as in “workshop”: small letters, digits, - and _"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        words = _(
            "Use small letters, digits, - and _ with a letter or digit first. ollama, "
            "vllm, openai, google and active are reserved."
        )
        return _checked(server_name, self.cleaned_data["name"], words)


class ChangeServerForm(ServerForm):
    """Its name is in links and keys of others, so it stays."""

    forget_key = forms.BooleanField(label=_("Forget the stored key"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].help_text = _("empty keeps the stored one")


class ActivateForm(forms.Form):
    model = forms.CharField(label=_("Model"), max_length=200)
    when = forms.CharField(max_length=20, empty_value="now", required=False)
    relief = forms.CharField(max_length=20, empty_value="ask", required=False)


class StartForm(forms.Form):
    """With which model a server is started, empty is the one it had; and `when` one is
    stopped or restarted."""

    model = forms.CharField(label=_("Model"), max_length=250, required=False)
    when = forms.CharField(max_length=20, empty_value="now", required=False)


class MemoryForm(forms.Form):
    """Which model to load or unload; without a runtime it is the model's own."""

    name = forms.CharField(label=_("Model"), max_length=250)
    runtime = forms.CharField(label=_("Runtime"), max_length=60, required=False)


class LoadForm(MemoryForm):
    """`relief` is ask or auto."""

    relief = forms.CharField(max_length=20, empty_value="ask", required=False)


class PinForm(MemoryForm):
    """`pinned` is true or false, 1 or 0; a missing one must not unpin anything."""

    pinned = forms.TypedChoiceField(
        label=_("pinned"),
        choices=[(word, word) for word in ("true", "1", "false", "0")],
        coerce=lambda word: word in ("true", "1"),
    )


class ParametersForm(forms.Form):
    """A field for each parameter of the table; an empty one is left to the server."""

    LABELS = {
        "temperature": _("Temperature"),
        "max_tokens": _("Longest answer, tokens"),
        "top_p": _("Top p"),
        "top_k": _("Top k"),
        "repeat_penalty": _("Repeat penalty"),
    }

    def __init__(self, found: ModelParameters, data: QueryDict | None = None) -> None:
        super().__init__(data, initial=dict(found.stored))
        for parameter in found.parameters:
            field = _number_field(parameter)
            field.label = self.LABELS[parameter.name]
            field.help_text = _help_for(
                parameter, is_sent=found.is_sent(parameter.name)
            )
            self.fields[parameter.name] = field


def _number_field(parameter: Parameter) -> forms.Field:
    least, most = parameter.least, parameter.most
    if parameter.is_whole:
        return forms.IntegerField(
            required=False, min_value=int(least), max_value=int(most)
        )
    return forms.FloatField(required=False, min_value=least, max_value=most)


def _help_for(parameter: Parameter, *, is_sent: bool) -> str:
    words = gettext("%(least)s to %(most)s, usual %(default)s.") % {
        "least": number_format(parameter.least),
        "most": number_format(parameter.most),
        "default": number_format(parameter.default),
    }
    unknown = gettext("This server does not know it: stored, not sent.")
    return words if is_sent else f"{words} {unknown}"


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
