"""What preparing a model asks of it, from its folder or from its catalogue.

None is for what cannot be known from there: a catalogue tells of no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models_app.providers.catalogue import Access, Details, Variant
from models_app.providers.chat_templates import TemplateReading
from models_app.providers.figures import LANGUAGE_PARTS, ModelFigures
from models_app.providers.folders import Folder
from models_app.reasons import NO_REASON, Reason
from models_app.services.complaints import settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`method` is the config's `quant_method`; `weights` is safetensors, pickle, gguf,
    adapter or empty. `trouble` is what is wrong with config.json."""

    place: str
    architectures: tuple[str, ...] = ()
    model_type: str = ""
    method: str = ""
    dtype: str = ""
    context_length: int | None = None
    figures: ModelFigures | None = None
    size_bytes: int | None = None
    trouble: Reason = NO_REASON
    weights: str = ""
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    has_code: bool = False
    has_tokenizer: bool | None = None
    embeds: bool = False
    template: TemplateReading | None = None
    has_template: bool | None = None
    is_here: bool = True
    access: Access = Access.OPEN
    complaint: Reason = NO_REASON


def facts_of_folder(folder: Folder, reading: TemplateReading | None) -> Facts:
    figures = folder.figures
    return Facts(
        place=folder.path.name,
        architectures=folder.architectures,
        model_type=_model_type(folder.config),
        method=_method(folder.config),
        dtype=figures.dtype if figures else "",
        context_length=folder.context_length,
        figures=figures,
        size_bytes=folder.weights_bytes or None,
        trouble=folder.trouble,
        weights=_weights(folder),
        missing=folder.missing,
        damaged=folder.damaged,
        has_code="auto_map" in folder.config or "auto_map" in folder.tokenizer,
        has_tokenizer=folder.has_tokenizer,
        embeds=folder.embeds,
        template=reading,
        has_template=bool(folder.template),
    )


# What lists call the numbers of weights that nobody quantized.
PLAIN_NUMBERS = frozenset({"f64", "f32", "f16", "bf16", "fp32", "fp16"})


def _named_method(words: str) -> str:
    """`AWQ 4-bit` is awq; plain numbers are no quantization."""
    method = words.partition(" ")[0].lower()
    return "" if method in PLAIN_NUMBERS else method


def facts_of_details(details: Details) -> Facts:
    """Of the variant that vLLM would get: the first that is no GGUF."""
    variant = _variant(details)
    figures = variant.figures if variant else None
    words = (variant.quantization if variant else "") or details.listed.quantization
    return Facts(
        place=details.listed.name,
        architectures=details.architectures
        or ((figures.architecture,) if figures and figures.architecture else ()),
        method=_named_method(words),
        dtype=figures.dtype if figures else "",
        context_length=variant.context_length if variant else None,
        figures=figures,
        size_bytes=variant.size_bytes if variant else None,
        weights=_format(variant) if variant else "",
        is_here=False,
        access=details.access,
        complaint=settled(variant).complaint if variant else NO_REASON,
    )


def _variant(details: Details) -> Variant | None:
    plain = [each for each in details.variants if _format(each) != "gguf"]
    return next(iter(plain or details.variants), None)


def _format(variant: Variant) -> str:
    told = variant.format.lower()
    return "pickle" if told in {"pytorch", "bin", "pickle"} else told or "safetensors"


def _weights(folder: Folder) -> str:
    if "adapter_config.json" in folder.names and "config.json" not in folder.names:
        return "adapter"
    if folder.safetensors:
        return "safetensors"
    if folder.pickles:
        return "pickle"
    return "gguf" if folder.ggufs else ""


def _method(config: Mapping[str, Any]) -> str:
    """Models that also see may say it of their language part only."""
    for part in (config, *(config.get(name) for name in LANGUAGE_PARTS)):
        settings = part.get("quantization_config") if isinstance(part, dict) else None
        told = settings.get("quant_method") if isinstance(settings, dict) else None
        if isinstance(told, str) and told:
            return told.lower()[:40]
    return ""


def _model_type(config: Mapping[str, Any]) -> str:
    told = config.get("model_type")
    return told[:60] if isinstance(told, str) else ""
