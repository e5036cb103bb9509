"""`manage.py sanitise_history`: rows as raw SQL, other programs and old clocks left."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.services import sanitise
from tests.factories.history import TRACE, RequestRecordFactory

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 5, 5, 10, tzinfo=UTC)
only_sqlite = pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="PostgreSQL refuses such a value"
)


def spoilt(**values) -> RequestRecord:
    """A good row with values that no form and no field would let in."""
    row: RequestRecord = RequestRecordFactory.create(
        created_at=MOMENT, touched_at=MOMENT, finished_at=MOMENT + timedelta(seconds=2)
    )
    key = row.pk if connection.features.has_native_uuid_field else row.pk.hex
    columns = ", ".join(f"{name} = %s" for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE history_app_requestrecord SET {columns} WHERE id = %s",
            [*values.values(), key],
        )
    return row


def mended(row: RequestRecord) -> RequestRecord:
    sanitise.sanitise()
    row.refresh_from_db()
    return row


def said(capsys, *options: str) -> str:
    call_command("sanitise_history", *options)
    return capsys.readouterr().out


def test_an_ended_request_gets_its_end_from_its_duration():
    row = mended(spoilt(finished_at=None, duration_seconds=90))
    assert row.finished_at == MOMENT + timedelta(seconds=90)


def test_without_a_duration_the_last_sign_of_life_is_the_end():
    row = spoilt(finished_at=None, duration_seconds=None)
    assert mended(row).finished_at == MOMENT


def test_a_running_request_keeps_its_open_end():
    row = mended(RequestRecordFactory(running=True))
    assert (row.status, row.finished_at) == (RequestStatus.PROCESSING, None)


@pytest.mark.parametrize(
    ("status", "finished_at", "wanted"),
    [
        ("completed", MOMENT + timedelta(seconds=2), "COMPLETED"),
        ("DONE", MOMENT + timedelta(seconds=2), "FAILED"),
        ("", None, "LOST"),
    ],
)
def test_an_unknown_status_becomes_one_of_ours(status, finished_at, wanted):
    adapt = connection.ops.adapt_datetimefield_value
    row = mended(spoilt(status=status, finished_at=adapt(finished_at)))
    assert row.status == wanted
    assert row.finished_at is not None


def test_impossible_times_are_replaced_by_their_neighbours():
    adapt = connection.ops.adapt_datetimefield_value
    old, far = datetime(1970, 1, 1, tzinfo=UTC), timezone.now() + timedelta(days=900)
    row = mended(spoilt(created_at=adapt(old), touched_at=adapt(far)))
    assert row.created_at == row.touched_at == MOMENT + timedelta(seconds=2)
    early = adapt(MOMENT - timedelta(days=1))
    assert mended(spoilt(finished_at=early)).finished_at > MOMENT


@only_sqlite
@pytest.mark.parametrize(
    "text", ["2026-05-05T12:00:00+02:00", "2026-05-05T10:00:00", "2026-05-05 10:00:00Z"]
)
def test_times_of_other_programs_are_written_as_ours(text):
    row = mended(spoilt(created_at=text))
    assert row.created_at == MOMENT
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(created_at AS TEXT) FROM history_app_requestrecord")
        assert cursor.fetchone() == ("2026-05-05 10:00:00",)


@only_sqlite
def test_a_time_that_nobody_can_read_is_replaced():
    assert mended(spoilt(created_at="yesterday")).created_at == MOMENT


def test_negative_durations_are_unknown():
    row = mended(spoilt(duration_seconds=-5, ttft_seconds=-0.1))
    assert (row.duration_seconds, row.ttft_seconds) == (None, None)


@only_sqlite
def test_texts_beyond_their_column_are_cut():
    assert len(mended(spoilt(error_message="e" * 9000)).error_message) == 500


def test_secrets_are_masked_wherever_they_stand(capsys):
    secret = "sk-" + "9f2a" * 10
    trace = json.dumps({"v": 1, "notes": [f"key {secret}"]})
    row = spoilt(prompt_preview=f"use {secret}", answer_preview=secret, trace=trace)
    assert "secret: 3" in said(capsys)
    row.refresh_from_db()
    assert "9f2a9f2a" not in str(vars(row))


def test_an_object_that_is_none_becomes_empty():
    assert mended(spoilt(trace="[1]")).trace == {}


def test_a_dry_run_counts_and_changes_nothing_and_a_second_run_finds_nothing(capsys):
    row = spoilt(finished_at=None, ttft_seconds=-1)
    assert said(capsys, "--dry-run") == (
        "To mend: duration impossible: 1\nTo mend: end missing: 1\n"
    )
    row.refresh_from_db()
    assert row.finished_at is None
    assert "Mended: end missing: 1" in said(capsys)
    assert said(capsys) == "Nothing to mend.\n"


def test_good_rows_are_left_alone_in_batches(monkeypatch):
    monkeypatch.setattr(sanitise, "BATCH_ROWS", 2)
    RequestRecordFactory.create_batch(5, trace=TRACE)
    assert not sanitise.sanitise()
    for _ in range(5):
        spoilt(ttft_seconds=-1)
    assert sanitise.sanitise() == {"duration impossible": 5}
