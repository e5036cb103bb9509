"""What a model can do, set by hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError

from models_app.schemas.capabilities import (
    LONGEST_CONTEXT,
    LONGEST_TEMPLATE,
    CapabilitiesBody,
)

KNOWN = [("", _("not known")), ("yes", _("yes")), ("no", _("no"))]
ROLE_WORDS = [
    ("system", _("system")),
    ("user", _("user")),
    ("assistant", _("assistant")),
    ("tool", _("tool")),
]
YES_NO = {"yes": True, "no": False, "": None}


def _known(label: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=KNOWN, required=False)


class TextField(forms.CharField):
    """Several lines; browsers end each with two characters, whatever they got."""

    def to_python(self, value: Any) -> str:
        text: str = super().to_python(value) or ""
        return text.replace("\r\n", "\n")


class CapabilitiesForm(forms.Form):
    """What a model can do, set by hand; the limits are those of the API."""

    supports_chat = _known(_("Chat"))
    supports_system_role = _known(_("System role"))
    supports_function_calling = _known(_("Tools"))
    supports_vision = _known(_("Vision"))
    supports_thinking = _known(_("Thinking"))
    supports_embedding = _known(_("Embeddings"))
    allowed_roles = forms.MultipleChoiceField(
        label=_("Roles"),
        choices=ROLE_WORDS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    max_context_length = forms.IntegerField(
        label=_("Longest context"),
        help_text=_("in tokens"),
        min_value=1,
        max_value=LONGEST_CONTEXT,
        required=False,
    )
    quantization = forms.CharField(
        label=_("Quantization"), max_length=40, required=False
    )
    prompt_template = TextField(
        label=_("Prompt template"),
        help_text=_("with {message}; used where the server has no template of its own"),
        max_length=LONGEST_TEMPLATE,
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "mono", "spellcheck": "false"}
        ),
    )

    def wish(self) -> CapabilitiesBody | None:
        """What differs from what was shown, perhaps nothing; None where it makes no
        sense, and then the fields say why."""
        if not self.is_valid():
            return None
        given = {name: self._value(name) for name in self.changed_data}
        try:
            return CapabilitiesBody.model_validate(given)
        except ValidationError as refusal:
            for each in refusal.errors():
                place = str(each["loc"][0]) if each["loc"] else ""
                sentence = each["msg"].removeprefix("Value error, ")
                self.add_error(place if place in self.fields else None, sentence)
            return None

    def _value(self, name: str) -> Any:
        value = self.cleaned_data[name]
        if name.startswith("supports_"):
            return YES_NO[value]
        return value
