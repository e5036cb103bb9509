"""Generation parameters: our names and ranges, and the names each server has for them.

Read by the gateway, which sends them, and by the service and the form that store them.
Facts: the OpenAI routes of Ollama 0.16 to 0.33 ignore `top_k` and any repeat penalty;
vLLM 0.33 takes `top_k` and `repetition_penalty` beside OpenAI's own fields;
llama-server and LM Studio take ours as they are called here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from runtime_app.choices import RuntimeKind

LONGEST_ANSWER = 8192  # tokens, where nobody knows the model's context


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`default` is what is usual; it is shown and never sent."""

    name: str
    default: float
    least: float
    most: float
    is_whole: bool = False

    def complaint(self, value: object) -> str:
        """What is wrong with `value`, in the caller's language; empty when nothing is.

        As everywhere in bodies a string is no number, and 512.0 is no whole one.
        """
        if self._accepts(value):
            return ""
        words = (
            _("must be a whole number from %(least)s to %(most)s")
            if self.is_whole
            else _("must be a number from %(least)s to %(most)s")
        )
        return words % {"least": self.least, "most": self.most}

    def _accepts(self, value: object) -> bool:
        kinds = int if self.is_whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return self.least <= value <= self.most


# top_p begins above 0: vLLM refuses 0, and nobody could ask anything any more.
PARAMETERS = (
    Parameter(name="temperature", default=0.7, least=0, most=2),
    Parameter(
        name="max_tokens", default=2048, least=128, most=LONGEST_ANSWER, is_whole=True
    ),
    Parameter(name="top_p", default=0.9, least=0.01, most=1),
    Parameter(name="top_k", default=40, least=1, most=1000, is_whole=True),
    Parameter(name="repeat_penalty", default=1.1, least=1, most=2),
)
_OURS = {parameter.name: parameter.name for parameter in PARAMETERS}

# By kind of server: our name → its own; what is missing it does not know.
WIRE_NAMES: Mapping[str, Mapping[str, str]] = {
    RuntimeKind.OLLAMA: {n: n for n in ("temperature", "max_tokens", "top_p")},
    RuntimeKind.VLLM: _OURS | {"repeat_penalty": "repetition_penalty"},
    RuntimeKind.OPENAI_COMPATIBLE: _OURS,
}


def parameters_for(context_length: int | None) -> tuple[Parameter, ...]:
    """The table for a model: an answer may be as long as its context, if known."""
    if not context_length:
        return PARAMETERS
    return tuple(
        _within(each, context_length) if each.name == "max_tokens" else each
        for each in PARAMETERS
    )


def _within(parameter: Parameter, most: int) -> Parameter:
    least, default = min(parameter.least, most), min(parameter.default, most)
    return replace(parameter, least=least, default=default, most=most)
