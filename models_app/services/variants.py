"""The variants of a model that a catalogue tells of, judged for this machine.

The only place that says which runtime gets a variant, whether it lies here and whether
its fit is worth saying: lists, a model's page, the install check and the API ask here.
"""

from __future__ import annotations

from dataclasses import dataclass

from models_app.choices import PROVIDER_RUNTIMES, ProviderName
from models_app.providers.catalogue import Details, Variant
from models_app.services.complaints import settled
from models_app.services.fit import Fit, judge
from models_app.services.machine import Machine
from models_app.services.registry import Key, installed_here

GGUF = "gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedVariant:
    """`fit` is None where it cannot be installed anyway, or runs elsewhere; `installed`
    is the name under which it lies here, or empty."""

    variant: Variant
    provider: str
    runtime: str
    fit: Fit | None
    installed: str


def judged_variants(
    provider: str, details: Details, machine: Machine
) -> tuple[JudgedVariant, ...]:
    """In the order of the source; one query however many there are."""
    held: dict[Key, str] = {
        (owner, name.lower()): name
        for owner, name in installed_here().values_list("provider", "name")
    }
    return tuple(
        _judged(provider, settled(each), details, machine, held)
        for each in details.variants
    )


def _judged(
    provider: str,
    variant: Variant,
    details: Details,
    machine: Machine,
    held: dict[Key, str],
) -> JudgedVariant:
    # Hugging Face holds GGUF files too: those Ollama fetches and runs (hf.co/…).
    is_ollamas = variant.format.lower() == GGUF or variant.name.startswith("hf.co/")
    owner = ProviderName.OLLAMA.value if is_ollamas else provider
    runtime = PROVIDER_RUNTIMES[owner]
    installed = held.get((owner, variant.name.lower()), "")
    fit = None
    if not variant.complaint and not details.listed.is_remote:
        fit = judge(
            variant.figures,
            machine,
            runtime=runtime,
            size_bytes=variant.size_bytes,
            is_here=bool(installed),
        )
    return JudgedVariant(
        variant=variant,
        provider=owner,
        runtime=runtime,
        fit=fit,
        installed=installed,
    )
