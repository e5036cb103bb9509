"""The atoms of the pages say sizes, times and states as people read them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.template import Context, Engine
from django.utils import timezone, translation

from venom_site.lib import units
from venom_site.templatetags import atoms
from venom_site.templatetags.pills import OPERATION_ICONS, PILLS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sprite():
    text = (ROOT / "static" / "icons.svg").read_text()
    return set(re.findall(r'<symbol id="([\w-]+)"', text))


@pytest.fixture(autouse=True)
def english():
    with translation.override("en"), timezone.override(UTC):
        yield


def operation(**fields):
    facts = {
        "status": "in_progress", "phase": "downloading", "message": "",
        "bytes_done": 3_100_000_000, "bytes_total": 4_900_000_000,
        "speed_bps": 11_200_000, "eta_seconds": 170, "is_stalled": False,
    }  # fmt: skip
    return SimpleNamespace(**{**facts, **fields})


def record(**fields):
    facts = {
        "status": "COMPLETED", "http_status": 200, "partial": False,
        "fallback": False, "ttft_ms": 300, "duration_seconds": 1.2,
    }  # fmt: skip
    return SimpleNamespace(**{**facts, **fields})


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "–"), (0, "0 B"), (999, "999 B"), (1_000, "1 kB"),
        (2_500_000, "2.5 MB"), (640_000_000, "640 MB"),
        (4_900_000_000, "4.9 GB"), (4_970_000_000, "5.0 GB"),
        (2_000_000_000_000, "2.0 TB"),
    ],
)  # fmt: skip
def test_a_size_is_said_in_decimal_units(size, words):
    assert units.size_text(size) == words


def test_a_size_uses_the_comma_of_the_language():
    with translation.override("de"):
        assert units.size_text(4_900_000_000) == "4,9 GB"


def test_memory_is_counted_as_drivers_report_it():
    assert units.memory_text(5 * 2**30) == "5.0 GiB"
    assert units.memory_text(512 * 2**20) == "512 MiB"
    assert units.memory_text(None) == "–"


def test_thousands_are_parted_by_a_thin_space():
    assert units.count_text(1284) == "1\u202f284"
    assert units.count_text(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (-1, "–"), (0, "0 ms"), (0.0002, "< 1 ms"), (0.042, "42 ms"),
        (1.21, "1.21 s"), (41, "41 s"), (59.7, "1:00"), (252, "4:12"),
        (3723, "1:02:03"),
    ],
)  # fmt: skip
def test_a_duration_has_no_more_digits_than_it_means(seconds, words):
    assert units.duration_text(seconds) == words


def test_milliseconds_are_said_in_the_same_words():
    assert units.milliseconds_text(640) == "640 ms"
    assert units.milliseconds_text(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""), (-3, ""), (4, "a few seconds left"), (34, "about 30 s left"),
        (57, "about 1 min left"), (170, "about 3 min left"),
        (7300, "about 2 h left"),
    ],
)  # fmt: skip
def test_time_left_is_a_rounded_promise(seconds, words):
    assert units.time_left_text(seconds) == words


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (timedelta(seconds=-30), "0 s ago"), (timedelta(seconds=12), "12 s ago"),
        (timedelta(minutes=5), "5 min ago"), (timedelta(hours=2), "2 h ago"),
        (timedelta(days=3), "3 d ago"),
    ],
)  # fmt: skip
def test_an_age_is_said_in_its_largest_unit(past, words):
    assert atoms.age(timezone.now() - past) == words


def test_an_age_carries_the_exact_time_as_title():
    moment = datetime(2026, 11, 21, 12, 41, 7, tzinfo=UTC)
    assert 'title="2026-11-21 12:41:07 UTC"' in atoms.ago(moment)
    assert 'datetime="2026-11-21T12:41:07+00:00"' in atoms.ago(moment)
    assert atoms.ago(None) == "never"


def test_a_clock_shows_the_day_only_when_it_was_not_today():
    assert ":" in atoms.clock(timezone.now())
    assert ">1 Mar 09:05</time>" in atoms.clock(datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    assert atoms.clock(None) == "–"


def test_an_address_hides_login_and_path():
    assert atoms.address("http://me:secret@127.0.0.1:11434/v1") == "127.0.0.1:11434"
    assert atoms.address(None) == ""


def test_a_share_stays_between_nothing_and_everything():
    assert atoms.percent_of(5, 20) == 25
    assert atoms.percent_of(30, 20) == 100
    assert atoms.percent_of(None, 20) == atoms.percent_of(5, 0) == 0


def test_a_time_of_a_trace_is_shown_to_the_millisecond(settings):
    settings.TIME_ZONE = "UTC"
    assert atoms.clock_of("2026-11-21T10:00:00.100Z") == "10:00:00.100"
    assert atoms.clock_of("yesterday") == "yesterday"
    assert atoms.clock_of("2026-13-45T10:00:00Z") == "2026-13-45T10:00:00Z"


@pytest.mark.parametrize(
    ("progress", "spoken"), [(None, 0), (24, 0), (64.2, 50), (99, 75)]
)
def test_the_spoken_progress_moves_in_quarters(progress, spoken):
    assert atoms.quarter(progress) == spoken


def test_progress_is_one_line_of_phase_bytes_speed_and_time():
    said = "Downloading · 3.1 of 4.9 GB · 11.2 MB/s · about 3 min left"
    assert atoms.progress_text(operation()) == said


def test_progress_keeps_both_units_when_they_differ():
    assert "900 MB of 4.9 GB" in atoms.progress_text(operation(bytes_done=900_000_000))


def test_progress_without_a_known_size_says_so():
    assert "size not known yet" in atoms.progress_text(operation(bytes_total=None))


def test_a_stalled_operation_promises_no_time():
    said = atoms.progress_text(operation(is_stalled=True))
    assert "no progress for a while" in said
    assert "left" not in said
    assert "/s" not in said


def test_an_unknown_phase_is_shown_tidied():
    said = atoms.progress_text(
        operation(phase="warming_up", bytes_total=None, bytes_done=None)
    )
    assert said.startswith("Warming up · ")


def test_a_message_is_escaped():
    said = atoms.progress_text(operation(message="<b>5 of 9</b>"))
    assert said.startswith("&lt;b&gt;5 of 9&lt;/b&gt; · ")


def test_a_pill_is_an_icon_and_a_word():
    said = atoms.status_pill("runtime", "online")
    assert 'class="pill ok"' in said
    assert "#circle-check" in said
    assert "Online</span>" in said


@pytest.mark.parametrize("status", ["quantum", "", None])
def test_a_state_nobody_knows_is_grey(status):
    assert '<span class="pill"><svg' in atoms.status_pill("runtime", status)


def test_an_unknown_state_is_escaped():
    assert "<script>" not in atoms.status_pill("runtime", "<script>")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "Running"), ({"is_stalled": True}, "Stalled"),
        ({"status": "pending", "phase": "queued"}, "Waiting"),
        ({"status": "pending", "phase": "paused"}, "Paused"),
        ({"status": "pending", "phase": "interrupted"}, "Interrupted"),
        ({"status": "completed", "is_stalled": True}, "Done"),
    ],
)  # fmt: skip
def test_an_operation_says_what_it_waits_for(fields, word):
    assert f"{word}</span>" in atoms.operation_pill(operation(**fields))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "Answered"), ({"fallback": True}, "Fallback"),
        ({"partial": True, "fallback": True}, "Cut short"),
        ({"status": "FAILED", "http_status": 404}, "404"),
        ({"status": "FAILED", "http_status": None}, "Failed"),
        ({"status": "FAILED", "http_status": 200}, "Failed"),
        ({"status": "FAILED", "http_status": 200, "partial": True}, "Cut short"),
        ({"status": "PROCESSING", "http_status": None}, "Running"),
    ],
)  # fmt: skip
def test_a_request_says_how_it_ended(fields, word):
    assert f"{word}</span>" in atoms.request_pill(record(**fields))


def test_a_kind_of_work_nobody_knows_still_has_an_icon():
    assert "#list-checks" in atoms.operation_icon("teleport")
    assert "#zap" in atoms.operation_icon("activate")


def test_every_icon_of_the_tables_is_in_the_sprite(sprite):
    used = {pill.icon for table in PILLS.values() for pill in table.values()}
    assert used | set(OPERATION_ICONS.values()) <= sprite


def test_the_atoms_load_in_a_template():
    engine = Engine(libraries={"atoms": "venom_site.templatetags.atoms"})
    page = engine.from_string("{% load atoms %}{{ size|bytes }} {% icon 'zap' %}")
    said = page.render(Context({"size": 3_300_000_000}))
    assert said.startswith("3.3 GB <svg")
    assert "#zap" in said
