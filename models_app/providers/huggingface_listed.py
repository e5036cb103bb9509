"""Models of a Hugging Face Hub in the product's words. Pure: nobody is asked here."""

from __future__ import annotations

from models_app.choices import ProviderName
from models_app.providers.catalogue import Listed, Variant
from models_app.providers.figures import (
    Config,
    figures_of_config,
    parameter_words,
    quantization_of,
)
from models_app.providers.huggingface_files import GGUF, SAFETENSORS, Choice
from venom_site.clients.huggingface import HubModel, HubRepo

MOST_TAGS = 12
# As bytes, of the types that safetensors files are made of.
DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
# Tags of the Hub that name how weights were quantized.
METHODS = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "fp8": "FP8",
    "mxfp4": "MXFP4",
    "aqlm": "AQLM",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed-tensors",
}
BITS = ("2-bit", "3-bit", "4-bit", "8-bit")
CAPABILITIES = {
    "image-text-to-text": "vision",
    "video-text-to-text": "vision",
    "any-to-any": "vision",
    "feature-extraction": "embedding",
    "sentence-similarity": "embedding",
}
# Tags that say nothing to people, or what stands in a field of its own.
DULL = (
    "license:",
    "region:",
    "base_model:",
    "dataset:",
    "arxiv:",
    "doi:",
    "model-index",
)


def listed_of(model: HubModel, page: str) -> Listed:
    """A model of a list; its size is an estimate from counts of weights."""
    capability = CAPABILITIES.get(model.pipeline_tag)
    return Listed(
        provider=ProviderName.HUGGINGFACE.value,
        name=model.id,
        display_name=model.id.rpartition("/")[2],
        owner=model.owner,
        url=page,
        tags=_tags(model),
        capabilities=(capability,) if capability else (),
        downloads=model.downloads,
        likes=model.likes,
        parameters=model.parameters,
        parameter_size=parameter_words(model.parameters),
        size_bytes=estimated_bytes(model),
        quantization=_quantization(model),
        format=_format(model),
        context_length=model.context_length,
        license=model.license,
        gated=model.gated,
        is_private=model.is_private,
        updated_at=model.updated_at,
    )


def variant_of(repo: HubRepo, choice: Choice, config: Config | None) -> Variant:
    """What is installed of this commit; figures only where its config was read."""
    figures = None
    if config is not None and choice.weights_bytes is not None:
        figures = figures_of_config(config, choice.weights_bytes, repo.parameters)
    size = parameter_words(repo.parameters)
    told = quantization_of(config or {}) or _quantization(repo)
    return Variant(
        name=repo.id,
        label=" ".join(filter(None, (size, told))) or choice.format or repo.id,
        size_bytes=choice.total_bytes,
        is_exact=choice.total_bytes is not None,
        quantization=told,
        format=choice.format,
        parameter_size=size,
        context_length=figures.context_length if figures else repo.context_length,
        digest=repo.commit,
        files=len(choice.files),
        complaint=choice.complaint,
        figures=figures,
    )


def estimated_bytes(model: HubModel) -> int | None:
    """Bytes of its safetensors by type of weight; None where a type is unknown.

    A GGUF repository tells the parameters of one of its files only.
    """
    sizes = [DTYPE_BYTES.get(name) for name, _ in model.dtypes]
    if not sizes or None in sizes:
        return None
    return sum(DTYPE_BYTES[name] * count for name, count in model.dtypes)


def _quantization(model: HubModel) -> str:
    """By its tags; of weights that nobody quantized the type of most of them."""
    if method := next((METHODS[tag] for tag in model.tags if tag in METHODS), ""):
        bits = next((tag for tag in model.tags if tag in BITS), "")
        is_told = bits and not any(letter.isdigit() for letter in method)
        return f"{method} {bits}" if is_told else method
    most = max(model.dtypes, key=lambda pair: pair[1], default=("", 0))
    return most[0]


def _format(model: HubModel) -> str:
    if SAFETENSORS in model.tags or model.dtypes:
        return SAFETENSORS
    return GGUF if GGUF in model.tags or model.gguf_architecture else ""


def _tags(model: HubModel) -> tuple[str, ...]:
    kept = [tag for tag in model.tags if not tag.startswith(DULL)]
    return tuple(kept[:MOST_TAGS])
