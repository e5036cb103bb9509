"""Charts of one runtime and the machine it runs on: the last hour, day, 30 days.

Drawn by the server from samples of one size per span, in two queries; without a script
a span is a page of its own, with one it is swapped in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from runtime_app.models import MachineSample, Runtime, RuntimeSample
from runtime_app.services import runtimes
from runtime_app.views.chart_svg import Chart, Series, Take, Window, Words, draw, mean
from venom_site.lib import units
from venom_site.lib.access import Scope, needs
from venom_site.lib.htmx import VenomRequest, wants_part
from venom_site.lib.svg_paths import Value

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which rows a chart of this length reads, and in which steps it is drawn."""

    name: str
    label: Promise
    length: timedelta
    row_seconds: int
    step: timedelta
    ticks: str  # how its times are written (Django's date format)


SPANS = {
    "1h": Span(
        name="1h",
        label=gettext_lazy("1 hour"),
        length=timedelta(hours=1),
        row_seconds=10,
        step=timedelta(seconds=20),
        ticks="H:i",
    ),
    "24h": Span(
        name="24h",
        label=gettext_lazy("24 hours"),
        length=timedelta(hours=24),
        row_seconds=60,
        step=timedelta(minutes=5),
        ticks="H:i",
    ),
    "30d": Span(
        name="30d",
        label=gettext_lazy("30 days"),
        length=timedelta(days=30),
        row_seconds=600,
        step=timedelta(hours=3),
        ticks="j M",
    ),
}


@needs(Scope.READ)
@require_safe
def runtime_charts(request: VenomRequest, name: str) -> HttpResponse:
    """`/runtimes/<name>/charts/?span=`; an unknown span means the last hour."""
    context = charts_context(runtimes.get_runtime(name), request.GET.get("span", ""))
    part, page = "runtime_app/_runtime_charts.html", "runtime_app/charts.html"
    return render(request, part if wants_part(request) else page, context)


def charts_context(runtime: Runtime, span: str = "") -> dict[str, Any]:
    """What `_runtime_charts.html` needs; two queries."""
    shown = SPANS.get(span, SPANS["1h"])
    window = Window.up_to(timezone.now(), span=shown.length, step=shown.step)
    mine = RuntimeSample.objects.filter(runtime=runtime, seconds=shown.row_seconds)
    ours = MachineSample.objects.filter(
        node_id=runtime.node_id, seconds=shown.row_seconds
    )
    seen = Seen(
        window,
        list(mine.filter(at__gte=window.begin).order_by("at")),
        list(ours.filter(at__gte=window.begin).order_by("at")),
    )
    return {
        "chart_runtime": runtime,
        "charts": [*seen.server_charts(), *seen.machine_charts()],
        "has_gpu": bool(seen.gpus),
        "spans": list(SPANS.values()),
        "span": shown,
    }


class Seen:
    """The samples of one window and the charts made of them."""

    def __init__(
        self, window: Window, mine: list[RuntimeSample], ours: list[MachineSample]
    ) -> None:
        self._window, self._mine, self._ours = window, mine, ours
        self.gpus = {gpu["index"]: gpu for row in ours for gpu in row.gpus}

    def server_charts(self) -> list[Chart]:
        found = [
            self._of_server("memory", _("Memory of this server"), "memory_bytes"),
            self._of_server("latency", _("Answers in"), "latency_ms"),
            self._requests(),
            self._of_server("tokens", _("Output tokens/s"), "output_tokens_per_second"),
        ]
        if any(row.vram_bytes is not None for row in self._mine):
            title = _("GPU memory of this server")
            found.insert(1, self._of_server("vram", title, "vram_bytes"))
        return found

    def machine_charts(self) -> list[Chart]:
        return [self._memory(), *map(self._gpu_memory, sorted(self.gpus)), *self._use()]

    def _of_server(self, ident: str, title: str, column: str) -> Chart:
        is_memory = column.endswith("_bytes")
        line = self._line(_("this server"), column, max if is_memory else mean)
        words = _words(column)
        unit = _memory_unit(line.values) if is_memory else 1
        return draw(ident, title, self._window, [line], words, unit=unit)

    def _requests(self) -> Chart:
        lines = [
            self._line(_("running"), "requests_running", mean),
            self._line(_("waiting"), "requests_waiting", mean),
        ]
        return draw("requests", _("Requests"), self._window, lines, _number)

    def _line(self, label: str, column: str, take: Take) -> Series:
        points = ((row.at, getattr(row, column)) for row in self._mine)
        return self._series(label, points, take)

    def _memory(self) -> Chart:
        used = ((row.at, row.memory_used_bytes) for row in self._ours)
        total = max((row.memory_total_bytes for row in self._ours), default=0)
        line = self._series(_("whole machine"), used, max)
        return self._filled("machine", _("Memory of the machine"), line, total)

    def _gpu_memory(self, index: int) -> Chart:
        line = self._gpu_line(index, lambda gpu: gpu["used_bytes"], max)
        title = _("Memory of GPU %(number)s") % {"number": index}
        total = self.gpus[index]["total_bytes"]
        return self._filled(f"gpu-{index}", title, line, total)

    def _filled(self, ident: str, title: str, line: Series, total: int) -> Chart:
        """Up to all there is, with the mark above which an alert opens."""
        percent = settings.ENV.VENOM_MEMORY_ALERT_PERCENT
        return draw(
            ident,
            title,
            self._window,
            [line],
            units.memory_text,
            top=total or None,
            mark=total * percent / 100 if total else None,
            mark_words=_("alert above %(percent)s %%") % {"percent": percent},
        )

    def _use(self) -> list[Chart]:
        if not self.gpus:
            return []
        lines = [
            self._gpu_line(index, lambda gpu: gpu["utilization_percent"], mean)
            for index in sorted(self.gpus)
        ]
        title = _("GPU use")
        return [draw("gpu", title, self._window, lines, units.percent_text, top=100)]

    def _gpu_line(
        self, index: int, figure: Callable[[dict[str, Any]], Value], take: Take
    ) -> Series:
        points = (
            (row.at, figure(gpu))
            for row in self._ours
            for gpu in row.gpus
            if gpu["index"] == index
        )
        name = self.gpus[index]["name"]
        return self._series(f"GPU {index}, {name}", points, take)

    def _series(
        self, label: str, points: Iterable[tuple[datetime, Value]], take: Take
    ) -> Series:
        values = self._window.spread(points, take)
        return Series(label=label, values=values, take=take)


def _words(column: str) -> Words:
    if column.endswith("_bytes"):
        return units.memory_text
    return units.milliseconds_text if column.endswith("_ms") else _number


def _memory_unit(values: Iterable[Value]) -> int:
    """In which round numbers an axis is counted: as `memory_text` writes them."""
    largest = max((value for value in values if value is not None), default=0)
    return units.GIB if largest >= units.GIB else MIB


def _number(value: Value) -> str:
    """Whole numbers as such, others with one place."""
    if value is None:
        return units.NONE
    return units.decimal(value, 0 if value == round(value) else 1)
