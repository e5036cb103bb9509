"""Roles, prompt and parameters of a request, fitted to the model and its server.

Pure; called by `proxy.py` for every server it asks. What a client sends wins over what
is stored for the model on that runtime, and stored values win over nothing: the usual
values of docs/api.md are shown to people and never sent, because a server knows better
defaults for its model (its Modelfile, its generation_config.json) and because a body
that needs no change goes on byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime_app.choices import RuntimeKind
from runtime_app.gateway.entries import ModelEntry
from runtime_app.gateway.roles import without_system
from runtime_app.gateway.schemas import CHAT, COMPLETIONS
from runtime_app.runtimes.generation import WIRE_NAMES

Fields = dict[str, Any]

_PLACES = re.compile(r"\{(message|system)\}")
_OURS = frozenset().union(*WIRE_NAMES.values())


@dataclass(frozen=True, slots=True)
class Fitted:
    """`notes` are sentences for the trace: one for each change that was made."""

    fields: Fields
    notes: tuple[str, ...] = ()


def fit(fields: Fields, *, path: str, kind: str, model: ModelEntry) -> Fitted:
    """The fields for a server of that kind; the same object when nothing changes."""
    if path not in {CHAT, COMPLETIONS}:
        return Fitted(fields)
    fitted: Fields = dict(fields)
    notes: list[str] = []
    if path == CHAT:
        notes += _fit_roles(fitted, model)
    else:
        notes += _fit_prompt(fitted, kind, model)
    notes += _fit_parameters(fitted, path, kind, model.params)
    return Fitted(fitted, tuple(notes)) if notes else Fitted(fields)


def _fit_roles(fields: Fields, model: ModelEntry) -> list[str]:
    """Only for a model known to have no system role; unknown is left alone."""
    if model.supports_system_role is not False:
        return []
    fields["messages"], notes = without_system(fields["messages"])
    return notes


def _fit_prompt(fields: Fields, kind: str, model: ModelEntry) -> list[str]:
    """The stored template around the prompt of `/v1/completions`.

    Chat always gets the server's own template, and Ollama applies one to completions
    too. A prompt with a `suffix` fills a gap in a text, and one of token numbers has
    been through a template already: both stay.
    """
    prompt, template = fields.get("prompt"), model.prompt_template
    if not template or kind == RuntimeKind.OLLAMA or fields.get("suffix"):
        return []
    if isinstance(prompt, str):
        fields["prompt"] = _filled(template, prompt)
    elif isinstance(prompt, list) and all(isinstance(p, str) for p in prompt):
        fields["prompt"] = [_filled(template, each) for each in prompt]
    if fields.get("prompt") == prompt:
        return []
    return ["The prompt was put into the model's stored template."]


def _filled(template: str, message: str) -> str:
    """In one pass, so that braces in the message mean nothing."""
    words = {"message": message, "system": ""}
    return _PLACES.sub(lambda place: words[place[1]], template)


def _fit_parameters(
    fields: Fields, path: str, kind: str, stored: Mapping[str, float]
) -> list[str]:
    names = WIRE_NAMES[kind]
    renamed, dropped = _rename_given(fields, names)
    if kind == RuntimeKind.OLLAMA and path == CHAT:
        renamed += _rename_limit(fields)
    added = _add_stored(fields, names, stored)
    dropped += [n for n in stored if n not in names and n not in dropped]
    notes = []
    if added:
        notes.append(f"From the stored parameters: {', '.join(added)}.")
    if renamed:
        notes.append(f"Sent under the server's own name: {', '.join(renamed)}.")
    if dropped:
        notes.append(f"Not sent, the server does not know it: {', '.join(dropped)}.")
    return notes


def _rename_given(
    fields: Fields, names: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Our own names in the request. The server's name beside ours wins; names that
    are neither pass through."""
    renamed, dropped = [], []
    for name in _OURS:
        if name not in fields:
            continue
        own = names.get(name)
        if own == name or fields[name] is None:
            continue
        value = fields.pop(name)
        if own is None or fields.get(own) is not None:
            dropped.append(name)
        else:
            fields[own] = value
            renamed.append(f"{name} as {own}")
    return renamed, sorted(dropped)


def _rename_limit(fields: Fields) -> list[str]:
    """Ollama's chat ignores `max_completion_tokens` without a word: endless answers."""
    limit = fields.get("max_completion_tokens")
    if limit is None or fields.get("max_tokens") is not None:
        return []
    del fields["max_completion_tokens"]
    fields["max_tokens"] = limit
    return ["max_completion_tokens as max_tokens"]


def _add_stored(
    fields: Fields, names: Mapping[str, str], stored: Mapping[str, float]
) -> list[str]:
    """What the request leaves open; null is as good as absent, as OpenAI has it."""
    added = []
    for name, value in stored.items():
        own = names.get(name)
        if own is None or fields.get(own) is not None:
            continue
        if name == "max_tokens" and fields.get("max_completion_tokens") is not None:
            continue
        fields[own] = value
        added.append(f"{own} {value}")
    return added
