"""Atoms of the pages: icons, status pills, sizes, durations and times as words.

Every template may load them. They only turn values into text or a few escaped tags:
they never query, never read the request and never decide what a status means to us.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from venom_site.lib import units

from .pills import OPERATION_ICONS, UNKNOWN_PILL, pill_of

register = template.Library()


class Progressing(Protocol):
    """What the progress line reads of an operation."""

    status: str
    phase: str
    bytes_done: int | None
    bytes_total: int | None
    speed_bps: float | None
    message: str

    @property
    def eta_seconds(self) -> float | None: ...

    @property
    def is_stalled(self) -> bool: ...


class Answered(Protocol):
    """What the result pill reads of a request record."""

    status: str
    http_status: int | None
    partial: bool
    fallback: bool


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of the sprite, always beside a word or inside a named control."""
    return _symbol(static("icons.svg"), name)


@lru_cache(maxsize=256)
def _symbol(sprite: str, name: str) -> SafeString:
    """Some pages show hundreds of them."""
    markup = '<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>'
    return format_html(markup, sprite, name)


@register.simple_tag
def operation_icon(operation_type: str) -> SafeString:
    """The icon of a kind of work; clients must bear kinds they do not know."""
    return icon(OPERATION_ICONS.get(operation_type, "list-checks"))


@register.simple_tag
def pill(tone: str, icon_name: str, text: str) -> SafeString:
    """A pill is an icon and a word; tone is ok, warn, bad, info, cloud or nothing."""
    return format_html(
        '<span class="pill{}">{} {}</span>',
        f" {tone}" if tone else "",
        icon(icon_name),
        text,
    )


@register.simple_tag
def status_pill(kind: str, status: str | None) -> SafeString:
    """The pill of a runtime, operation or request; a state we do not know is grey."""
    shown = pill_of(kind, status or "") or UNKNOWN_PILL
    return pill(shown.tone, shown.icon, status_word(status, kind))


@register.filter
def status_word(status: str | None, kind: str) -> str:
    """Only the word of a status, for what is spoken rather than seen."""
    known = pill_of(kind, status or "")
    return str(known.text) if known else status or str(UNKNOWN_PILL.text)


@register.simple_tag
def operation_pill(operation: Progressing) -> SafeString:
    """A waiting operation says what it waits for, a silent one that it is silent."""
    if operation.status == "pending" and pill_of("operation", operation.phase):
        return status_pill("operation", operation.phase)
    if operation.status == "in_progress" and operation.is_stalled:
        return status_pill("operation", "stalled")
    return status_pill("operation", operation.status)


@register.simple_tag
def step_pill(state: str, status: str) -> SafeString:
    """How far a step is; where somebody stopped the work, it did not fail."""
    stopped = state == "failed" and status == "cancelled"
    return status_pill("step_state", "cancelled" if stopped else state)


@register.filter
def step_title(name: str) -> str:
    """What a step does; one we have no words for is shown a little tidied."""
    known = pill_of("step", name)
    return str(known.text) if known else phase_words(name)


@register.simple_tag
def request_pill(record: Answered) -> SafeString:
    """How a request ended; an answer that was cut or came from elsewhere says so."""
    if record.status in {"COMPLETED", "FAILED"} and record.partial:
        return status_pill("request", "partial")
    if record.status == "COMPLETED" and record.fallback:
        return status_pill("request", "fallback")
    if record.status == "FAILED" and (record.http_status or 0) >= 400:
        return pill("bad", "circle-x", str(record.http_status))
    return status_pill("request", record.status)


register.filter("bytes", units.size_text)
register.filter("memory", units.memory_text)
register.filter("count", units.count_text)
register.filter("dollars", units.dollars_text)
register.filter("duration", units.duration_text)
register.filter("milliseconds", units.milliseconds_text)
register.filter("time_left", units.time_left_text)


@register.filter
def age(moment: datetime | None) -> str:
    """2 h ago; a clock that runs ahead of ours still says 0 s ago."""
    if moment is None:
        return _("never")
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    if seconds < 60:
        return _("%(count)s s ago") % {"count": seconds}
    if seconds < 3600:
        return _("%(count)s min ago") % {"count": seconds // 60}
    if seconds < 86400:
        return _("%(count)s h ago") % {"count": seconds // 3600}
    days = seconds // 86400
    return ngettext("%(count)s d ago", "%(count)s d ago", days) % {"count": days}


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """The age with the exact time as title; the script keeps it fresh."""
    if moment is None:
        return format_html("{}", age(None))
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(),
        exact(moment),
        age(moment),
    )


@register.simple_tag
def until(moment: datetime | None) -> SafeString:
    """4:12, the time that is left; the script counts it down and stops at 0:00."""
    if moment is None:
        return format_html("{}", units.NONE)
    left = max(0.0, (moment - timezone.now()).total_seconds())
    return format_html(
        '<time datetime="{0}" title="{1}" data-until="{0}">{2}</time>',
        moment.isoformat(),
        exact(moment),
        units.clock_text(round(left)),
    )


@register.simple_tag
def elapsed(moment: datetime) -> SafeString:
    """0:07, the time since then; the script goes on counting."""
    seconds = max(0.0, (timezone.now() - moment).total_seconds())
    return format_html(
        '<time datetime="{}" title="{}" data-since>{}</time>',
        moment.isoformat(),
        exact(moment),
        units.clock_text(seconds),
    )


@register.simple_tag
def clock(moment: datetime | None) -> SafeString:
    """12:41:07 today, 20 Nov 12:41 before, with the exact time as title."""
    if moment is None:
        return format_html("{}", units.NONE)
    local = timezone.localtime(moment)
    today = local.date() == timezone.localdate()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact(moment),
        date_format(local, "H:i:s" if today else "j M H:i"),
    )


@register.filter
def clock_of(timestamp: str) -> str:
    """12:41:07.123 of an ISO time as traces hold it; what is none is shown as it is."""
    try:
        moment = parse_datetime(timestamp)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return timestamp
    local = timezone.localtime(moment)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"


@register.filter
def tidied(code: str) -> str:
    """first_token → first token."""
    return code.replace("_", " ")


def exact(moment: datetime) -> str:
    """2026-11-21 12:41:07 UTC: the one unambiguous way to say when."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")


@register.filter
def address(url: str | None) -> str:
    """http://127.0.0.1:11434/v1 → 127.0.0.1:11434; without login or path."""
    return (urlsplit(url or "").netloc or url or "").rpartition("@")[2]


@register.filter
def percent_of(part: float | None, whole: float | None) -> int:
    """A whole percentage for a bar, kept within 0 and 100."""
    if not part or not whole:
        return 0
    return max(0, min(100, round(100 * part / whole)))


@register.filter
def quarter(progress: float | None) -> int:
    """0, 25, 50 or 75: what the spoken status line says, so that it stays quiet."""
    return int(progress or 0) // 25 * 25


@register.simple_tag
def progress_text(operation: Progressing) -> SafeString:
    """Downloading · 3.1 of 4.9 GB · 11.2 MB/s · about 3 min left."""
    parts = [operation.message or phase_words(operation.phase), bytes_words(operation)]
    if operation.is_stalled:
        parts.append(_("no progress for a while"))
    else:
        if operation.speed_bps:
            parts.append(f"{units.size_text(operation.speed_bps)}/s")
        parts.append(units.time_left_text(operation.eta_seconds))
    return format_html_join(" · ", "{}", ((part,) for part in parts if part))


def phase_words(phase: str) -> str:
    """A phase we have no words for is shown as it is, a little tidied."""
    known = pill_of("phase", phase)
    return str(known.text) if known else phase.replace("_", " ").capitalize()


def bytes_words(operation: Progressing) -> str:
    """3.1 of 4.9 GB, or what came so far when the size is not known."""
    if operation.bytes_total:
        total = units.size_text(operation.bytes_total)
        unit = " " + total.rpartition(" ")[2]
        done = units.size_text(operation.bytes_done or 0).removesuffix(unit)
        return _("%(done)s of %(total)s") % {"done": done, "total": total}
    if operation.bytes_done:
        size = units.size_text(operation.bytes_done)
        return _("%(done)s, size not known yet") % {"done": size}
    return ""
