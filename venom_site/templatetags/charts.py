"""Small drawings made by the server: they need no script, and a sentence says the same.

Only attributes of SVG are set, since the policy forbids styles inline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from venom_site.lib import units
from venom_site.lib.svg_paths import Frame

register = template.Library()

FRAME = Frame(100, 28)


@register.simple_tag
def sparkline(values: Sequence[float | None], summary: str) -> SafeString:
    """A line without axes, from zero to the largest value; None leaves a gap."""
    runs = FRAME.runs(values, max((value for value in values if value), default=1.0))
    return format_html(
        '<svg class="spark" role="img" aria-label="{}" viewBox="0 0 {} {}"'
        ' preserveAspectRatio="none"><path class="under" d="{}"/>'
        '<path class="line" d="{}" vector-effect="non-scaling-stroke"/></svg>',
        summary,
        FRAME.width,
        FRAME.height,
        FRAME.area(runs),
        FRAME.line(runs),
    )


class Filled(Protocol):
    """What the memory bar reads: bytes, and where the alert stands."""

    @property
    def label(self) -> str: ...

    @property
    def used_bytes(self) -> int: ...

    @property
    def total_bytes(self) -> int: ...

    @property
    def own_bytes(self) -> int | None: ...

    @property
    def mark_percent(self) -> int: ...


@register.simple_tag
def memory_bar(bar: Filled) -> dict[str, str]:
    """`words` as text and `svg`: solid what is the server's own, pale what others
    use, and a line at the mark above which an alert is raised."""
    used, total = units.memory_text(bar.used_bytes), units.memory_text(bar.total_bytes)
    words = _("%(used)s of %(total)s used") % {"used": used, "total": total}
    if bar.own_bytes is not None:
        own = {"own": units.memory_text(bar.own_bytes), "rest": words}
        words = _("%(own)s of its own, %(rest)s") % own
    named = {"label": bar.label, "words": words, "mark": bar.mark_percent}
    svg = format_html(
        '<svg class="bar" role="img" aria-label="{}" viewBox="0 0 100 6"'
        ' preserveAspectRatio="none"><rect class="rest" width="{}" height="6"/>'
        '<rect width="{}" height="6"/><rect class="mark" x="{}" width=".6" height="6"/>'
        "</svg>",
        _("%(label)s: %(words)s, mark at %(mark)s %%") % named,
        _share(bar.used_bytes, bar.total_bytes),
        _share(bar.own_bytes or 0, bar.total_bytes),
        bar.mark_percent,
    )
    return {"words": words, "svg": svg}


def _share(part: int, whole: int) -> str:
    return f"{max(0.0, min(100.0, 100 * part / whole)):.1f}" if whole else "0"
