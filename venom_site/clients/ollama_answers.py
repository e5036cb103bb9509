"""What an Ollama server answers, in its own words, read into types.

Used by `ollama.py` alone, which asks. A field that is missing or of a wrong type counts
as not said: versions before 0.30 leave `capabilities` out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import quoted_error
from venom_site.lib.logging import without_secrets

LONGEST_COMPLAINT = 500  # names whole paths before it says what is wrong
LARGEST_NUMBER = 2**63 - 1
_NOT_ONE = "This does not answer as an Ollama server does."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """An installed model of `/api/tags`; `capabilities` is None before 0.30."""

    name: str
    size_bytes: int | None
    digest: str
    format: str
    family: str
    parameter_size: str
    quantization: str
    modified_at: str
    is_remote: bool
    capabilities: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in memory, from `/api/ps`."""

    name: str
    size_bytes: int | None
    size_vram_bytes: int | None
    expires_at: str
    context_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownModel:
    """What `/api/show` says; `context_length` is the model's own longest context.

    `template` is Go's or, since about 0.30, the Jinja one of the model's file.
    `parameters` holds one `key value` a line, a list as the same key again.
    """

    license: str
    template: str
    system: str
    parameters: str
    capabilities: tuple[str, ...] | None
    model_info: dict[str, Any]
    format: str
    family: str
    parameter_size: str
    quantization: str
    context_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLine:
    """One line of a pull; digest and bytes only while that layer comes."""

    status: str
    digest: str
    total: int
    completed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; tokens are None where the server leaves the count out."""

    model: str
    text: str
    thinking: str
    done_reason: str
    input_tokens: int | None
    output_tokens: int | None


class PullLines:
    """Reads the lines of one pull; `is_complete` once the server said so."""

    def __init__(self, on_line: Callable[[PullLine], None]) -> None:
        self._on_line = on_line
        self.is_complete = False

    def take(self, line: bytes) -> None:
        try:
            entry = mapping(json.loads(line))
        except (ValueError, RecursionError):
            raise WireError("A line of the pull is something else than JSON.") from None
        self.is_complete = entry.get("status") == "success"
        self._on_line(
            PullLine(
                status=text_of(entry, "status"),
                digest=text_of(entry, "digest"),
                total=_number(entry, "total") or 0,
                completed=_number(entry, "completed") or 0,
            )
        )


def mapping(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise WireError(_NOT_ONE)
    if complaint := quoted_error(answer):
        raise WireError(
            _clean(without_secrets(complaint))[:LONGEST_COMPLAINT], permanent=True
        )
    return answer


def entries_of(answer: Any) -> list[dict[str, Any]]:
    """The list called `models`; an answer without one would empty the registry."""
    entries = mapping(answer).get("models", _NOT_ONE)
    if entries is None:  # how Go writes a list that nobody has made yet
        return []
    if not isinstance(entries, list):
        raise WireError(_NOT_ONE)
    return [entry for entry in entries if isinstance(entry, dict)]


def _clean(text: str) -> str:
    """Without what no database takes: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def text_of(entry: dict[str, Any], field: str) -> str:
    value = entry.get(field)
    return _clean(value) if isinstance(value, str) else ""


def _texts(entry: dict[str, Any], field: str) -> tuple[str, ...] | None:
    values = entry.get(field)
    if not isinstance(values, list):
        return None
    return tuple(value for value in values if isinstance(value, str))


def _number(entry: dict[str, Any], field: str) -> int | None:
    """A count that a database takes; a bool is none, a whole float is one."""
    value = entry.get(field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= LARGEST_NUMBER else None


def _details(entry: dict[str, Any]) -> dict[str, str]:
    details = entry.get("details")
    details = details if isinstance(details, dict) else {}
    return {
        "format": text_of(details, "format"),
        "family": text_of(details, "family"),
        "parameter_size": text_of(details, "parameter_size"),
        "quantization": text_of(details, "quantization_level"),
    }


def _name(entry: dict[str, Any]) -> str:
    return text_of(entry, "model") or text_of(entry, "name")


def listed(entry: dict[str, Any]) -> ListedModel:
    return ListedModel(
        name=_name(entry),
        size_bytes=_number(entry, "size"),
        digest=text_of(entry, "digest").removeprefix("sha256:"),
        modified_at=text_of(entry, "modified_at"),
        is_remote=bool(entry.get("remote_host") or entry.get("remote_model")),
        capabilities=_texts(entry, "capabilities"),
        **_details(entry),
    )


def loaded(entry: dict[str, Any]) -> LoadedModel:
    return LoadedModel(
        name=_name(entry),
        size_bytes=_number(entry, "size"),
        size_vram_bytes=_number(entry, "size_vram"),
        expires_at=text_of(entry, "expires_at"),
        context_length=_number(entry, "context_length"),
    )


def shown(entry: dict[str, Any]) -> ShownModel:
    facts = entry.get("model_info")
    facts = facts if isinstance(facts, dict) else {}
    family = text_of(facts, "general.architecture")
    return ShownModel(
        license=text_of(entry, "license"),
        template=text_of(entry, "template"),
        system=text_of(entry, "system"),
        parameters=text_of(entry, "parameters"),
        capabilities=_texts(entry, "capabilities"),
        model_info=facts,
        context_length=_number(facts, f"{family}.context_length") or None,
        **_details(entry),
    )


def answer_of(answer: dict[str, Any], text: str, thought: dict[str, Any]) -> Answer:
    return Answer(
        model=text_of(answer, "model"),
        text=text,
        thinking=text_of(thought, "thinking"),
        done_reason=text_of(answer, "done_reason"),
        input_tokens=_number(answer, "prompt_eval_count"),
        output_tokens=_number(answer, "eval_count"),
    )
