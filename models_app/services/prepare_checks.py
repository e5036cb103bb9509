"""A finding about a model, and the wish that it is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models_app.services.prepare_facts import Facts

Verdict = Literal["ok", "warning", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`name` is fixed, for programs; `message` says what is, `remedy` what to do.

    `mend` is what a conversion would make of it (a kind of weights, a quantization, a
    type of numbers), empty where none would help.
    """

    name: str
    verdict: Verdict
    message: str
    remedy: str = ""
    arguments: tuple[str, ...] = ()  # what vLLM must be started with for it
    mend: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict != "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for; empty is as the model itself has it. `context` is what the
    server is set to, `trusts_code` whether it may run what a model brings."""

    dtype: str = "auto"
    quantization: str = ""
    context: int | None = None
    trusts_code: bool = False


def refused(name: str, message: str, remedy: str, mend: str = "") -> Check:
    return Check(
        name=name, verdict="refused", message=message, remedy=remedy, mend=mend
    )


def is_model(facts: Facts) -> bool:
    """Whether its config.json can be read, so that more can be asked of it."""
    return facts.weights not in {"gguf", "adapter"} and not facts.trouble
