"""One model of a catalogue, judged for this machine: its variants and what each needs.

The source's own words come through `catalog.py`; here each variant meets the machine
and the registry. API and pages ask here.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_app.choices import ProviderName
from models_app.providers.base import ModelNotFound
from models_app.providers.catalogue import Access, Details
from models_app.services import catalog_questions, catalog_shapes
from models_app.services.catalog import details_of
from models_app.services.kept_answers import Kept, kept
from models_app.services.machine import read_machine
from models_app.services.variants import JudgedVariant, judged_variants


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDetails:
    """What the source tells of a model, perhaps from a copy, and how it fits here."""

    provider: str
    details: Details
    kept: Kept
    variants: tuple[JudgedVariant, ...]

    @property
    def recommended(self) -> JudgedVariant | None:
        """The largest that runs well here: more bits of the same model lose less."""
        fitting = [
            each
            for each in self.variants
            if each.fit and each.fit.store_ok and each.fit.verdict == "fits"
        ]
        return max(fitting, key=lambda v: v.variant.size_bytes or 0, default=None)

    @property
    def next_step(self) -> str:
        """What somebody must do before its bytes may be fetched; empty for nothing."""
        return {
            Access.TOKEN_MISSING: _(
                "It is gated: set HF_TOKEN to a token, accept the licence at the "
                "source with its account, restart, then check again."
            ),
            Access.LICENCE_MISSING: _(
                "It is gated: accept its licence at the source with the account of "
                "HF_TOKEN, then check again."
            ),
            Access.DENIED: _(
                "The source does not let the account of HF_TOKEN have it. Ask its "
                "owner for access, then check again."
            ),
        }.get(self.details.access, "")


def judged_details(
    provider: str, name: str, revision: str = "", *, refresh: bool = False
) -> JudgedDetails:
    """Asks the source where there is no fresh copy; raises what it refused with."""
    found, answer = details_of(
        provider, listed_name(provider, name), revision, refresh=refresh
    )
    return _judged(provider, found, answer)


def kept_details(provider: str, name: str) -> JudgedDetails | None:
    """The copy that is here, without asking anybody; None where there is none. Raises
    `ModelNotFound` where the source has said that there is no such model."""
    question = catalog_questions.details(provider, listed_name(provider, name))
    answer = kept(provider, question.key, lambda: None, wait=False)
    found = catalog_shapes.details_of(answer.payload)
    if found is None and answer.error_code == ModelNotFound.code:
        raise ModelNotFound(answer.error)
    return None if found is None else _judged(provider, found, answer)


def listed_name(provider: str, name: str) -> str:
    """The name under which a catalogue lists it: Ollama's tags are variants of one."""
    if provider != ProviderName.OLLAMA:
        return name
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _judged(provider: str, details: Details, answer: Kept) -> JudgedDetails:
    return JudgedDetails(
        provider=provider,
        details=details,
        kept=answer,
        variants=judged_variants(provider, details, read_machine()),
    )
