"""The charts of a runtime: what is drawn, in how few queries, without a script."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import RuntimeSample
from runtime_app.views import charts
from tests.factories import RuntimeFactory
from tests.runtime_app.sampling import GIB, machine

pytestmark = pytest.mark.django_db

URL = "/runtimes/ollama/charts/"


def ago(**units):
    return timezone.now() - timedelta(**units)


@pytest.fixture
def runtime(db):
    return RuntimeFactory(online=True)


@pytest.fixture
def look(page_client):
    client = page_client("Viewer")

    def read(address: str = URL, **headers) -> str:
        answer = client.get(address, headers=headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return read


def fill(runtime, *, seconds=10, number=30, gpus=((5, 12),), **fields):
    known = {
        "status": "online",
        "latency_ms": 4.0,
        "memory_bytes": GIB,
        "vram_bytes": 3 * GIB,
        "requests_running": 2,
        "requests_waiting": 1,
        "output_tokens_per_second": 42.5,
    }
    for place in range(number):
        moment = ago(seconds=seconds * (place + 1))
        RuntimeSample.objects.create(
            runtime=runtime, at=moment, seconds=seconds, **(known | fields)
        )
        machine(runtime.node, moment, percent=40, gpus=gpus, seconds=seconds)


def drawn(page: str, ident: str) -> str:
    return re.search(rf'(?s)<figure[^>]*id="chart-{ident}".*?</figure>', page)[0]


def test_every_figure_has_a_chart_with_a_sentence_and_a_table(runtime, look):
    fill(runtime)
    page = look()
    for ident in [
        "memory",
        "vram",
        "latency",
        "requests",
        "tokens",
        "machine",
        "gpu-0",
        "gpu",
    ]:
        chart = drawn(page, ident)
        assert 'role="img"' in chart
        assert f'<title id="chart-{ident}-says">' in chart
        assert 'class="line a" d="M' in chart
        assert "<table" in chart
    assert "last 42.5." in drawn(page, "tokens")
    assert "Requests, waiting: 1 to 1, last 1." in drawn(page, "requests")
    assert "style=" not in drawn(page, "memory")


def test_memory_goes_up_to_all_there_is_and_has_the_mark_of_the_alert(runtime, look):
    fill(runtime)
    page = look()
    for ident, top in (("machine", "100.0 GiB"), ("gpu-0", "12.0 GiB")):
        assert f"<li>{top}</li>" in drawn(page, ident)
        assert 'class="mark" d="M0,' in drawn(page, ident)
        assert "alert above 85 %" in drawn(page, ident)
    assert 'path class="mark"' not in drawn(page, "memory")


def test_without_a_gpu_that_is_one_sentence_and_no_chart(runtime, look):
    fill(runtime, gpus=(), vram_bytes=None)
    page = look()
    assert "No GPU was seen on this machine" in page
    assert 'id="chart-gpu' not in page
    assert 'id="chart-vram' not in page


def test_a_server_without_samples_says_so(runtime, look):
    page = look()
    assert page.count("Not measured in this time.") == 5
    assert "<svg role" not in page


@pytest.mark.parametrize(("span", "seconds"), [("1h", 10), ("24h", 60), ("30d", 600)])
def test_each_span_reads_rows_of_its_own_size(runtime, look, span, seconds):
    fill(runtime, seconds=seconds, number=2)
    for other in {10, 60, 600} - {seconds}:
        fill(runtime, seconds=other, number=2, latency_ms=9999.0)
    page = look(f"{URL}?span={span}")
    assert "4 ms to 4 ms" in drawn(page, "latency")
    assert f'?span={span}" hx-target="#runtime-charts"' in page
    [current] = re.findall(r'span=(\w+)"[^>]*aria-current="true"', page)
    assert current == span


@pytest.mark.parametrize("span", ["", "9y", "1h'"])
def test_an_unknown_span_is_the_last_hour(runtime, look, span):
    assert re.findall(r'span=(\w+)"[^>]*aria-current', look(f"{URL}?span={span}")) == [
        "1h"
    ]


def test_a_script_gets_the_part_and_others_a_page(runtime, look):
    assert "<html" in look()
    part = look(**{"HX-Request": "true"})
    assert "<html" not in part
    assert part.strip().startswith('<section class="stack" id="runtime-charts"')


def test_a_server_that_is_not_there_is_404(page_client):
    assert page_client("Viewer").get("/runtimes/nobody/charts/").status_code == 404


def test_a_month_of_samples_takes_two_queries_and_a_few_hundred_points(
    runtime, django_assert_num_queries
):
    rows = 30 * 24 * 6
    RuntimeSample.objects.bulk_create(
        RuntimeSample(
            runtime=runtime,
            at=ago(minutes=10 * (n + 1)),
            seconds=600,
            status="online",
            latency_ms=float(n % 50),
        )
        for n in range(rows)
    )
    with django_assert_num_queries(2):
        made = charts.charts_context(runtime, "30d")["charts"]
    [latency] = [chart for chart in made if chart.ident == "latency"]
    assert 200 < latency.lines[0].line.count(",") <= 300


def test_the_part_asks_the_database_seldom(
    runtime, page_client, django_assert_max_num_queries
):
    fill(runtime, number=3)
    client = page_client("Viewer")
    client.get(URL, headers={"HX-Request": "true"})
    with django_assert_max_num_queries(6):
        client.get(URL, headers={"HX-Request": "true"})


def test_an_hour_of_silence_is_a_gap(runtime):
    for minutes in (5, 5.2, 50, 50.2):
        RuntimeSample.objects.create(
            runtime=runtime, at=ago(minutes=minutes), status="online", latency_ms=4.0
        )
    made = charts.charts_context(runtime)["charts"]
    [latency] = [chart for chart in made if chart.ident == "latency"]
    assert latency.lines[0].line.count("M") == 2


def test_several_gpus_have_a_chart_each_and_share_that_of_their_use(runtime, look):
    fill(runtime, gpus=((5, 12), (1, 8)))
    page = look()
    assert "<li>8.0 GiB</li>" in drawn(page, "gpu-1")
    assert drawn(page, "gpu").count('<path class="line') == 2
