"""Are the files of a model such that vLLM could read them? Pure checks.

Each gives a finding, or None where it has nothing to say.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_app.providers.catalogue import Access
from models_app.services.fit_room import Machine
from models_app.services.prepare_checks import Check, Wish, is_model, refused
from models_app.services.prepare_facts import Facts


def access(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if facts.access == Access.OPEN:
        return None
    return Check(
        name="access",
        verdict="refused",
        message=_("Its files are not open to us."),
        remedy=_("Accept its licence at the source, set HF_TOKEN, then ask again."),
    )


def config(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    """Silent where it is fine: the others read it."""
    if not facts.trouble or facts.weights in {"gguf", "adapter"}:
        return None
    return Check(
        name="config",
        verdict="refused",
        message=str(facts.trouble),
        remedy=_("Install the model again, or choose another one."),
    )


def weights(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if broken := _broken(facts):
        return broken
    if facts.complaint:
        return refused("weights", str(facts.complaint), _("Choose another variant."))
    if facts.weights == "pickle":
        return Check(
            name="weights",
            verdict="warning",
            message=_("Its weights are pickle files, which can carry code."),
            remedy=_("Prefer a revision with safetensors, or one you trust."),
            mend="safetensors",
        )
    if facts.weights == "safetensors":
        whole = _("Its weights are there and whole.")
        message = whole if facts.is_here else _("Its weights are safetensors.")
        return Check(name="weights", verdict="ok", message=message)
    return {
        "gguf": refused(
            "weights",
            _("It holds GGUF files only, which vLLM does not read."),
            _("Install it from Ollama: hf.co/<owner>/<name> is a name there."),
        ),
        "adapter": refused(
            "weights",
            _("It is an adapter (LoRA), not a model."),
            _("Install the model that it was made for."),
        ),
    }.get(facts.weights) or refused(
        "weights", _("It has no weights."), _("Choose another model.")
    )


def _broken(facts: Facts) -> Check | None:
    names = facts.missing or facts.damaged
    if not names:
        return None
    words = {"number": len(names), "first": names[0]}
    return refused(
        "weights",
        _("%(number)s of its files are missing, the first is %(first)s.") % words
        if facts.missing
        else _("%(number)s of its files are cut short, the first is %(first)s.")
        % words,
        _("Install the model again."),
    )


def tokenizer(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if facts.has_tokenizer is None or not is_model(facts):
        return None
    if facts.has_tokenizer:
        message = _("Its tokenizer is there.")
        return Check(name="tokenizer", verdict="ok", message=message)
    return refused(
        "tokenizer",
        _("It has no tokenizer, so that no text could be read."),
        _("Install the model again, or choose another one."),
    )


def template(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if facts.has_template is None or facts.embeds or not is_model(facts):
        return None
    if not facts.has_template:
        return Check(
            name="template",
            verdict="warning",
            message=_("It has no chat template: vLLM refuses chats with it."),
            remedy=_("Choose its variant for chats (-it, -instruct, -chat)."),
        )
    reading = facts.template
    if reading is not None and not reading.roles:
        return Check(
            name="template",
            verdict="warning",
            message=_("Its chat template cannot be used. %(why)s")
            % {"why": reading.error},
            remedy=_("Give vLLM another one: VLLM_EXTRA_ARGS=--chat-template <file>."),
        )
    message = _("Its chat template works.")
    return Check(name="template", verdict="ok", message=message)
