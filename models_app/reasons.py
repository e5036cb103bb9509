"""Why something cannot be used: a code and its values, said in the reader's language.

Providers and checks make reasons, rows and kept answers hold them as codes, and only
what shows one asks for its words. Text of others (a vendor, a template, a row of an
earlier release) is the reason `said`, which nobody can translate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from models_app.refusal_texts import REFUSALS
from venom_site.lib.errors import VenomError

SAID = "said"
PICKLE_ONLY = "pickle_only"
LONGEST_STORED = 500  # what the columns hold
LONGEST_VALUE = 200  # a path or the words of a template; a row has room for 500
Value = str | int

TEXTS = {
    SAID: "%(words)s",
    # A repository's files
    "shard_missing": _("Its weights are not complete: %(file)s is not there."),
    "weights_empty": _("Its weights are empty: %(file)s has no bytes."),
    PICKLE_ONLY: _(
        "It has pickle weights only (*.bin), which can run code of strangers when they "
        "are loaded. Choose a model with safetensors, or name a program that converts "
        "them in VLLM_PREPARE_COMMAND."
    ),
    "pickle_convertible": _(
        "It has pickle weights only (*.bin), which can run code of strangers when they "
        "are loaded. Once it is here, convert it before it is used: Prepare for vLLM."
    ),
    "config_missing": _("It has no config.json, without which vLLM cannot load it."),
    "adapter": _("It is an adapter for another model (LoRA), no model by itself."),
    "pipeline": _("It is a pipeline that makes pictures or sound; vLLM loads no such."),
    "mistral_form": _(
        "Its weights are in Mistral's own form only, which is not installed here."
    ),
    "no_weights": _("It has no weights that vLLM could load."),
    "gguf_only": _(
        "It has GGUF files only, which Ollama runs: install %(name)s from Ollama, with "
        "the quantization as its tag."
    ),
    # A variant of Ollama's
    "for_apple": _(
        "%(name)s is made for Apple machines (MLX); Ollama on Linux cannot run it."
    ),
    "cloud_ruled_out": _(
        "%(name)s runs in Ollama's cloud, which OLLAMA_NO_CLOUD rules out here."
    ),
    "not_in_registry": _(
        "The library lists %(name)s, but the registry does not have it."
    ),
    # A folder on our disk
    "no_proof": _(
        "The folder %(folder)s carries no proof of its files. Install the model again, "
        "or remove it."
    ),
    "files_missing": _(
        "%(number)s of %(files)s files are missing, the first is %(first)s. Install "
        "the model again, or remove it."
    ),
    "files_resized": _(
        "%(number)s of %(files)s files have another size than when they were proved, "
        "the first is %(first)s. Install the model again."
    ),
    "index_broken": _("%(file)s cannot be read. Copy the model there again."),
    "parts_missing": _(
        "%(number)s of %(parts)s parts of its weights are missing, the first is "
        "%(first)s. Copy the model there again."
    ),
    # A JSON file of a model
    "json_missing": _("%(file)s is missing."),
    "json_large": _("%(file)s is larger than %(megabytes)s MB."),
    "json_unreadable": _("%(file)s is not JSON that can be read."),
    "json_deep": _("%(file)s is nested too deeply."),
    "json_no_object": _("%(file)s holds no object."),
    # A chat template
    "template_absent": _("There is no template for plain questions."),
    "template_long": _("It is longer than %(most)s characters."),
    "template_leaves_out": _("It leaves the question out."),
    "template_writes": _("It writes more than %(most)s characters."),
    "template_memory": _("It takes too much memory."),
    "template_deep": _("It is nested too deeply."),
    "template_endless": _("It takes too long or too much memory."),
    "template_unrendered": _("It could not be rendered."),
    **REFUSALS,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """True where there is one. `values` are the places of its sentence, in order.

    `str()` is the sentence in the language that is active now: who stores or passes a
    reason on keeps the reason, not its words.
    """

    code: str = ""
    values: tuple[tuple[str, Value], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.code)

    def __str__(self) -> str:
        if not self.code:
            return ""
        return (str(TEXTS[self.code]) % dict(self.values)).strip()

    def stored(self) -> str:
        """As a column of text holds it; what others said stays as it is."""
        values = dict(self.values)
        if self.code in ("", SAID):
            return str(values.get("words", ""))
        told = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return f"{self.code} {told}"


NO_REASON = Reason()


def because(code: str, **values: Value) -> Reason:
    """Raises KeyError for a code that is none, or a value that its words lack."""
    cut = {name: _short(value) for name, value in values.items()}
    made = Reason(code, tuple(cut.items()))
    str(made)  # a value that its words lack is a mistake of the one who says it
    return made


def _short(value: Value) -> Value:
    return value[:LONGEST_VALUE] if isinstance(value, str) else value


def said(words: str) -> Reason:
    """What others say, in their language; none where they say nothing."""
    return Reason(SAID, (("words", words),)) if words else NO_REASON


def kept_words(error: Exception, most: int = LONGEST_STORED) -> str:
    """How a row keeps why something failed: as a reason where it is one that fits into
    the column, else its sentence."""
    told = error.stored() if isinstance(error, VenomError) else str(error)
    return told if len(told) <= most else str(error)


def read_stored(text: str) -> Reason:
    """What `stored` wrote; any other text is what somebody said."""
    code, _space, told = text.partition(" ")
    if code in TEXTS and told.startswith("{"):
        try:
            return read_told({"code": code, "values": json.loads(told)})
        except (ValueError, RecursionError):  # cut off, or never ours
            pass
    return said(text)


def read_told(told: Any) -> Reason:
    """A reason that was kept as JSON (its fields), or the sentence of an earlier
    release; raises ValueError for what is neither."""
    if isinstance(told, str):
        return said(told)
    try:
        values = tuple((str(name), each) for name, each in dict(told["values"]).items())
        reason = Reason(str(told["code"]), values)
        str(reason)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("no reason that this release knows") from error
    return reason
