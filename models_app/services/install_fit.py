"""Whether what somebody wants installed would run here: the fit part of the check.

Shown from what is at hand: the catalogue's kept copy, the row of what is installed,
else the size alone. Findings and numbers, no refusals: what does not fit may be
installed all the same, and is refused when it is activated.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_app.choices import PROVIDER_RUNTIMES
from models_app.models import InstalledModel
from models_app.providers.base import ModelNotFound
from models_app.providers.catalogue import Access
from models_app.providers.figures import ModelFigures
from models_app.services.details import JudgedDetails, judged_details, kept_details
from models_app.services.figures import figures_of, measured_of
from models_app.services.fit import CONTEXTS, Fit, Machine, judge
from models_app.services.install_check import OK, WARN, Finding
from models_app.services.machine import read_machine
from models_app.services.registry import installed_here
from models_app.services.variants import JudgedVariant
from venom_site.lib.units import count_text, memory_text


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPanel:
    """`lengths` are the contexts one may look at, `context` the one that is shown;
    `found` is None where the catalogue has not been asked about it yet."""

    provider: str
    name: str
    fit: Fit
    lines: tuple[Finding, ...]
    lengths: tuple[int, ...]
    context: int | None
    found: JudgedDetails | None
    chosen: JudgedVariant | None

    @property
    def choices(self) -> list[JudgedVariant]:
        """What could be installed instead."""
        variants = self.found.variants if self.found else ()
        return [each for each in variants if not each.variant.complaint]


def fit_panel(
    provider: str,
    name: str,
    *,
    size_bytes: int | None = None,
    context: int | None = None,
    ask: bool = False,
) -> FitPanel:
    """With `ask` the source is asked where its copy is old or missing: raises what it
    refuses with. Without, nobody is asked."""
    found = judged_details(provider, name) if ask else _kept(provider, name)
    variant = _chosen(found, name)
    machine = read_machine()
    figures, measured = _known(provider, name, variant)
    fit = judge(
        figures,
        machine,
        runtime=PROVIDER_RUNTIMES[provider],
        context=context,
        size_bytes=size_bytes or (variant.variant.size_bytes if variant else None),
        measured=measured,
    )
    return FitPanel(
        provider=provider,
        name=name,
        fit=fit,
        lines=(_about_memory(fit, machine), *_about_source(found)),
        lengths=_lengths(figures, fit, context),
        context=context or fit.context,
        found=found,
        chosen=variant,
    )


def _kept(provider: str, name: str) -> JudgedDetails | None:
    try:
        return kept_details(provider, name)
    except ModelNotFound:  # the check itself says so
        return None


def _chosen(found: JudgedDetails | None, name: str) -> JudgedVariant | None:
    variants = found.variants if found else ()
    same = (each for each in variants if each.variant.name.lower() == name.lower())
    return next(same, None)


def _known(
    provider: str, name: str, variant: JudgedVariant | None
) -> tuple[ModelFigures | None, tuple[int, int] | None]:
    """Figures and measure of what lies here already, else what the catalogue says."""
    rows = installed_here().named(name, provider)
    row: InstalledModel | None = rows.first()
    told = variant.variant.figures if variant else None
    if row is None:
        return told, None
    return told or figures_of(row), measured_of(row)


def _lengths(
    figures: ModelFigures | None, fit: Fit, wanted: int | None
) -> tuple[int, ...]:
    """None to choose from where nobody knows how the memory grows."""
    if fit.is_rough or fit.context is None or figures is None:
        return ()
    most = figures.context_length or CONTEXTS[-1]
    usual = {length for length in CONTEXTS if length <= most}
    return tuple(sorted(usual | {wanted or fit.context}))


def _about_memory(fit: Fit, machine: Machine) -> Finding:
    named = {
        "needed": memory_text(fit.needed_bytes),
        "room": memory_text(fit.available_bytes),
        "context": count_text(fit.context),
        "longest": count_text(fit.longest_context),
        "missing": memory_text(fit.missing_bytes),
    }
    level, words, remedy = _verdict_words(fit)
    place = _("GPU") if fit.place == "gpu" else _("Memory")
    if not machine.gpus and fit.place == "memory":
        place = _("Memory, since there is no GPU")
    told = f"{place}: {words % named}" if fit.place else words
    known = _how_known(fit)
    message = f"{told} {known}" if known else told
    return Finding(name="memory", level=level, message=message, remedy=remedy % named)


def _verdict_words(fit: Fit) -> tuple[str, str, str]:
    """Level, sentence and remedy, with places for the numbers."""
    if fit.verdict == "fits":
        if fit.context is None:
            return OK, _("about %(needed)s of %(room)s."), ""
        words = _("about %(needed)s of %(room)s at %(context)s tokens of context.")
        return OK, words, ""
    if fit.verdict == "tight":
        return (
            WARN,
            _("%(needed)s of %(room)s at %(context)s tokens of context."),
            _("Up to %(longest)s tokens fit."),
        )
    if fit.verdict == "partial":
        return (
            WARN,
            _("%(needed)s is more than the GPU holds: part of it runs in memory."),
            _("It works, but slowly; a smaller variant runs faster."),
        )
    if fit.verdict == "too_big":
        remedy = (
            _("Free memory first: it would fit if nothing else ran.")
            if fit.is_busy
            else _("Choose a smaller variant.")
        )
        return WARN, _("%(missing)s more than the %(room)s there are."), remedy
    return WARN, _("How much memory it needs is not known."), ""


def _how_known(fit: Fit) -> str:
    if fit.verdict == "unknown":
        return ""
    if fit.is_measured:
        return _("Measured here.")
    if fit.is_rough:
        return _("Guessed from its size, never measured here.")
    return _("Estimated, never measured here.")


def _about_source(found: JudgedDetails | None) -> list[Finding]:
    """Licence and gate; nothing where nobody has been asked."""
    if found is None:
        return []
    licence = found.details.listed.license
    if licence:
        text = _("Licence: %(licence)s.") % {"licence": licence.rstrip(".")}
        findings = [Finding(name="licence", level=OK, message=text)]
    else:
        text = _("Its source names no licence.")
        findings = [Finding(name="licence", level=WARN, message=text)]
    if found.details.access != Access.OPEN:
        gate = found.next_step or found.details.access_note
        page = found.details.listed.url
        findings.append(Finding(name="access", level=WARN, message=gate, url=page))
    return findings
