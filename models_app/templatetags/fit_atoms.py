"""Atoms of a fit: the badge's words and bar, lengths of a context, a model's own fit.

Only values become text here; what fits is decided in `services/fit.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from models_app.models import InstalledModel
from models_app.services.fit import ContextFit, Fit, Machine
from models_app.services.machine import read_memory
from models_app.services.model_fit import fit_of
from venom_site.lib.units import NONE, count_text, memory_text

register = template.Library()

KILO = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FitWords:
    """A badge: `tone` is ok, warn, bad or nothing; the bar's parts in hundredths of
    what there is room for."""

    tone: str
    word: str
    number: str
    title: str
    weights: int = 0
    both: int = 0

    @property
    def text(self) -> str:
        return f"{self.word} · {self.number}" if self.number else self.word

    @property
    def bar(self) -> SafeString:
        """Weights are solid, what the context adds is hatched; none without a size."""
        if not self.both:
            return SafeString("")
        return format_html(
            '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
            '<path d="M0 4h{0}"/><path d="M{0} 4H{1}" stroke-dasharray="3"/></svg> ',
            self.weights,
            self.both,
        )


@register.filter
def context_text(tokens: int | None) -> str:
    """8192 → 8k, 1048576 → 1M: as people name lengths of a context."""
    if not tokens:
        return NONE
    if tokens < KILO:
        return count_text(tokens)
    if tokens >= KILO * KILO and tokens % (KILO * KILO) == 0:
        return f"{tokens // (KILO * KILO)}M"
    return f"{tokens // KILO}k"


@register.simple_tag
def fit_badge(fit: Fit | None) -> SafeString:
    """A fit as a bar and words; None is a model that runs in a cloud."""
    words = fit_words(fit)
    return format_html(
        '<span class="fit {}"{}>{}{}{}</span>',
        words.tone,
        format_html(' title="{}"', words.title) if words.title else "",
        words.bar,
        words.text,
        _no_room() if fit is not None and not fit.store_ok else "",
    )


def _no_room() -> SafeString:
    return format_html('<span class="sub">{}</span>', _("no room on the disk"))


def fit_words(fit: Fit | None) -> FitWords:
    """What the badge of a fit says; None is a model that runs in a cloud."""
    if fit is None:
        return FitWords(tone="", word=_("Runs in cloud"), number="", title="")
    if fit.verdict == "unknown":
        title = _("Nobody has told its size or its layers.")
        return FitWords(tone="", word=_("Not known"), number="", title=title)
    room = max(1, fit.available_bytes)
    return FitWords(
        tone={"fits": "ok", "tight": "warn", "partial": "warn"}.get(fit.verdict, "bad"),
        word=_word(fit),
        number=_number(fit),
        title=_title(fit),
        weights=min(100, round(100 * min(fit.weights_bytes, fit.needed_bytes) / room)),
        both=min(100, round(100 * fit.needed_bytes / room)),
    )


def _word(fit: Fit) -> str:
    if fit.verdict == "fits":
        return _("Fits")
    if fit.verdict == "tight":
        return _("Tight")
    if fit.verdict == "partial":
        return _("Partly on the GPU")
    return _("No room now") if fit.is_busy else _("Too big")


def _number(fit: Fit) -> str:
    if fit.verdict == "fits":
        return _("%(size)s free") % {"size": memory_text(fit.left_bytes)}
    if fit.verdict == "tight":
        return _("%(length)s context") % {"length": context_text(fit.longest_context)}
    if fit.verdict == "partial":
        return ""
    return f"+{memory_text(fit.missing_bytes)}"


def _title(fit: Fit) -> str:
    """The numbers behind the badge, and whether anybody has seen them."""
    named = {
        "needed": memory_text(fit.needed_bytes),
        "room": memory_text(fit.available_bytes),
        "context": count_text(fit.context),
    }
    if fit.is_measured:
        words = _("measured here: %(needed)s of %(room)s at %(context)s tokens")
    elif fit.is_rough:
        words = _("guessed from its size alone: %(needed)s of %(room)s")
    else:
        words = _("estimated: %(needed)s of %(room)s at %(context)s tokens")
    place = _("on the GPU") if fit.place == "gpu" else _("in memory, without a GPU")
    if fit.verdict == "partial":
        place = _("on the GPU and in memory, which is slow")
    return f"{words % named}, {place}"


@register.simple_tag
def model_fit(model: InstalledModel, machine: Machine | None = None) -> SafeString:
    """The badge of an installed model; a list gives the machine it has read once."""
    return fit_badge(fit_of(model, machine or read_memory()))


@register.filter
def filled(row: ContextFit) -> int:
    """How much of the room a length takes, in hundredths."""
    return min(100, round(100 * row.needed_bytes / max(1, row.available_bytes)))
