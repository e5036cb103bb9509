"""What people send about an install; the same limits as the schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    PROFILE_PROVIDERS,
    VERSIONED_PROVIDERS,
    ProviderName,
)
from venom_site.lib.names import LONGEST_NAME, is_model_name

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


# Where a name typed on a page can come from, as far as the profile has it.
SOURCES = [
    (ProviderName.OLLAMA.value, _("Ollama library")),
    (ProviderName.HUGGINGFACE.value, _("Hugging Face")),
]


def sources() -> list[tuple[str, StrOrPromise]]:
    shown = PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]
    return [(name, label) for name, label in SOURCES if name in shown]


class CheckForm(forms.Form):
    """Which model, from where: what the page about an install asks first."""

    name = forms.CharField(
        label=_("Model"),
        max_length=LONGEST_NAME,
        help_text=_("as its source writes it: gemma3:4b, Qwen/Qwen3-0.6B"),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
    )
    provider = forms.ChoiceField(
        label=_("Source"), choices=sources, required=False, initial=SOURCES[0][0]
    )
    revision = forms.CharField(
        label=_("Revision"),
        max_length=100,
        required=False,
        help_text=_("a branch, tag or commit of Hugging Face; empty is the newest"),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_model_name(name):
            raise forms.ValidationError(
                _(
                    "This is not a model's name. One looks like llama3.2:3b or "
                    "org/model: letters, digits, _ . - and /, one :tag at the end."
                )
            )
        return name

    def clean_provider(self) -> str:
        return self.cleaned_data["provider"] or SOURCES[0][0]

    @property
    def has_revisions(self) -> bool:
        """Whether a source of this profile has several versions of a name."""
        return any(name in VERSIONED_PROVIDERS for name, _label in sources())


class FitForm(CheckForm):
    """The same, at which context and, where the check knows it, how large; `gate_told`
    where the check has said already that its gate is closed."""

    context = forms.IntegerField(min_value=1, max_value=10**8, required=False)
    size = forms.IntegerField(min_value=1, max_value=10**15, required=False)
    gate_told = forms.BooleanField(required=False)

    def chosen_context(self) -> int | None:
        """One that is none is not chosen: the check has more to say than that."""
        self.is_valid()
        return self.cleaned_data.get("context")


class InstallForm(CheckForm):
    """The button: what the check found is confirmed."""

    confirm_large = forms.BooleanField(required=False)
    activate = forms.BooleanField(required=False)
