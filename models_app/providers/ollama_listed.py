"""What the library's pages and the registry say, as the product lists it.

Pure; used by `ollama_catalogue.py`. Several tags may stand for the same bytes: they are
one variant under the shortest of their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from models_app.choices import ProviderName
from models_app.providers import ollama_words as words
from models_app.providers.catalogue import Listed, Variant
from models_app.providers.figures import ModelFigures
from models_app.providers.gguf_figures import figures_of_gguf
from models_app.reasons import NO_REASON, Reason, because
from venom_site.clients.gguf_header import GgufHeader
from venom_site.clients.ollama_library_pages import Card, TagRow
from venom_site.clients.ollama_registry import RegistryConfig, RegistryManifest

LONGEST_LABEL = 80

# A size at the beginning of a tag, a quantization at its end: 4b-it-qat-q4_K_M.
_SIZE = re.compile(r"((?:\d+x)?e?\d+(?:\.\d+)?[bmkt](?:-a\d+(?:\.\d+)?[bm])?)(?:-|$)")
_PLAIN_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([bmkt])")
_STEPS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_QUANTIZATION = re.compile(
    r"(?:^|-)((?:iq|q)\d(?:_[a-z0-9]+)*|(?:bf|fp|f)(?:16|32)|fp8|int[48]|mxfp[48]|nvfp4)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Tags of the same bytes, the one to install first."""

    tags: tuple[str, ...]
    row: TagRow

    @property
    def size_label(self) -> str:
        """`4b`, `235b-a22b`; empty where no tag names one."""
        found = (_SIZE.match(tag.lower()) for tag in self.tags)
        return next((match[1] for match in found if match), "")

    @property
    def quantization(self) -> str:
        found = (_QUANTIZATION.search(tag) for tag in self.tags)
        return next((_as_written(match[1]) for match in found if match), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the registry said of an offer; None where it was not asked or failed.

    `header` may be that of another quantization of the same size, which differs in
    nothing else. `is_missing` is a tag that the registry does not have.
    """

    manifest: RegistryManifest | None = None
    config: RegistryConfig | None = None
    header: GgufHeader | None = None
    is_own_header: bool = True
    license: str = ""
    is_missing: bool = False


def listed_of(card: Card, url: str) -> Listed:
    owner, _, name = card.name.rpartition("/")
    label = card.sizes[0] if len(card.sizes) == 1 else ""
    return Listed(
        provider=ProviderName.OLLAMA.value,
        name=card.name,
        display_name=name if not owner else card.name,
        owner=owner,
        description=card.description,
        url=url,
        tags=("cloud",) if card.has_cloud else (),
        capabilities=card.capabilities,
        sizes=card.sizes,
        downloads=card.pulls,
        parameters=parameters_in(label),
        parameter_size=label.upper() if label else "",
        is_remote=card.is_cloud_only,
        updated_at=card.updated_at,
    )


def fold(rows: Sequence[TagRow], wanted: str = "") -> list[Offer]:
    """One offer for each digest: that of the tag asked for first (in small letters),
    then that of `latest`, then in the order of the page."""
    by_bytes: dict[str, list[TagRow]] = {}
    for row in rows:
        by_bytes.setdefault(row.digest or f":{row.tag}", []).append(row)
    offers = [
        Offer(tags=_in_order(same, wanted), row=same[0]) for same in by_bytes.values()
    ]

    def rank(offer: Offer) -> tuple[bool, bool]:
        tags = [tag.lower() for tag in offer.tags]
        return wanted not in tags, words.DEFAULT_TAG not in tags

    return sorted(offers, key=rank)


def _in_order(same: Sequence[TagRow], wanted: str) -> tuple[str, ...]:
    """`latest` says least, so it gives its place to any other; `8b` before
    `8b-instruct-q4_K_M`, which is the same."""

    def rank(tag: str) -> tuple[bool, bool, int, str]:
        return tag.lower() != wanted, tag == words.DEFAULT_TAG, len(tag), tag

    return tuple(sorted({row.tag for row in same}, key=rank))


def variant_of(name: str, offer: Offer, seen: Seen, *, no_cloud: bool) -> Variant:
    """`name` without a tag. Exact where the registry was heard."""
    full = f"{name}:{offer.tags[0]}"
    row, manifest, config = offer.row, seen.manifest, seen.config
    is_cloud = words.is_cloud_name(full) or bool(config and config.is_remote)
    if is_cloud:  # what lies in the registry is a stub of a few hundred bytes
        row, manifest = replace(row, size_bytes=None), None
    figures = figures_of(offer, seen)
    return Variant(
        name=full,
        label=label_of(offer),
        size_bytes=manifest.size_bytes if manifest else row.size_bytes,
        is_exact=manifest is not None,
        quantization=figures.quantization if figures else offer.quantization,
        format=(config.format if config else "") or ("" if is_cloud else "gguf"),
        parameter_size=(config.parameter_size if config else "")
        or offer.size_label.upper(),
        context_length=(figures.context_length if figures else None)
        or row.context_length,
        digest=seen.manifest.digest if seen.manifest else row.digest,
        files=len(manifest.layers) if manifest else 0,
        complaint=_complaint(full, offer, seen, no_cloud=no_cloud),
        figures=None if is_cloud else figures,
    )


def with_first(
    listed: Listed, variants: Sequence[Variant], seen: Sequence[Seen]
) -> Listed:
    """The model with what is known of the variant that one would usually install."""
    first, figures = variants[0], variants[0].figures
    return replace(
        listed,
        parameters=figures.parameters if figures else listed.parameters,
        parameter_size=first.parameter_size or listed.parameter_size,
        size_bytes=first.size_bytes,
        is_exact=first.is_exact,
        quantization=first.quantization,
        format=first.format,
        context_length=first.context_length,
        license=seen[0].license,
    )


def label_of(offer: Offer) -> str:
    """`4b (latest, 4b-it-q4_K_M)`."""
    first, *others = offer.tags
    label = f"{first} ({', '.join(others)})" if others else first
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def figures_of(offer: Offer, seen: Seen) -> ModelFigures | None:
    """The header's where it was read, else what the names and the config say."""
    weights = weights_in(seen.manifest) or offer.row.size_bytes
    if weights is None:
        return None
    config = seen.config or RegistryConfig()
    quantization = config.quantization or offer.quantization
    parameters = parameters_in(config.parameter_size or offer.size_label)
    if seen.header is None:
        return ModelFigures(
            weights_bytes=weights,
            parameters=parameters,
            context_length=config.context_length or offer.row.context_length,
            architecture=config.family,
            quantization=quantization,
        )
    figures = figures_of_gguf(seen.header, weights)
    return replace(
        figures,
        parameters=figures.parameters or parameters,
        context_length=figures.context_length or offer.row.context_length,
        quantization=quantization
        or (figures.quantization if seen.is_own_header else ""),
    )


def weights_in(manifest: RegistryManifest | None) -> int | None:
    """What is loaded, without licence and template; None where nothing is."""
    if manifest is None:
        return None
    loaded = (
        layer for layer in manifest.layers if layer.media_type in words.WEIGHT_LAYERS
    )
    return sum(layer.size_bytes for layer in loaded) or None


def parameters_in(label: str) -> int | None:
    """`4.3B` → 4 300 000 000, `8x7b` all its experts; None for another label."""
    found = _PLAIN_SIZE.fullmatch(label.lower())
    if found is None or len(label) > 20:
        return None
    return int(int(found[1] or 1) * Decimal(found[2]) * _STEPS[found[3]])


def _as_written(tag: str) -> str:
    """As llama.cpp writes it: Q4_K_M, F16, MXFP4."""
    upper = tag.upper()
    return {"FP16": "F16", "FP32": "F32"}.get(upper, upper)


def _complaint(full: str, offer: Offer, seen: Seen, *, no_cloud: bool) -> Reason:
    if seen.is_missing:
        return because("not_in_registry", name=full)
    if seen.manifest is not None:
        return words.complaint_about(full, seen.manifest, no_cloud=no_cloud)
    if any("mlx" in tag.lower().split("-") for tag in offer.tags):
        return words.made_for_apple(full)
    return NO_REASON
