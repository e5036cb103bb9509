"""What is wished of vLLM on its page."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from models_app.services.prepare_architectures import DTYPES, ONLINE


class PrepareForm(forms.Form):
    """The query string of the page; a value we do not know asks for nothing."""

    dtype = forms.ChoiceField(
        label=_("Type of numbers"),
        choices=[("", _("as set or stored")), *((each, each) for each in DTYPES)],
        required=False,
    )
    quantization = forms.ChoiceField(
        label=_("Quantization"),
        choices=[("", _("as stored")), *((each, each) for each in sorted(ONLINE))],
        required=False,
        help_text=_("done by vLLM while it loads"),
    )

    def chosen(self) -> dict[str, str]:
        self.is_valid()
        return {name: self.cleaned_data.get(name, "") for name in self.fields}
