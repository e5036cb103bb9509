"""What a source says against a model, as it counts on this machine.

Pickle weights speak against an install only where nothing is set that converts them;
where something is, they are a remark. Settled whenever it is asked for, never kept: the
setting may be another by then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from django.conf import settings

from models_app.providers.base import Manifest
from models_app.providers.catalogue import Variant
from models_app.reasons import NO_REASON, PICKLE_ONLY, because

Promised = TypeVar("Promised", Variant, Manifest)


def can_convert() -> bool:
    """Whether a program for conversions is named."""
    return bool(settings.ENV.VLLM_PREPARE_COMMAND.strip())


def settled(promised: Promised) -> Promised:
    if promised.complaint.code != PICKLE_ONLY or not can_convert():
        return promised
    return replace(promised, complaint=NO_REASON, remark=because("pickle_convertible"))
