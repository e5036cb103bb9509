"""No credential reaches a column, a log line or the spool, whoever sent it."""

import json
import logging
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import Recorder
from history_app.services import spool, writer
from tests.factories.history import TRACE

CORE = "q7Zk2Vx9Lw4Tn8Rb3Mf6Hd1Js5Pg0Yc"
SECRETS = [
    f"venom_{CORE}AbCdEfGhIjK",
    f"sk-proj-{CORE}",
    f"hf_{CORE}",
    f"AIza{CORE}",
    f"Authorization: Bearer {CORE}",
    f"Basic {CORE}",
    f"https://user:{CORE}@models.example/v1",
    f"api_key={CORE}",
    f'{{"password": "{CORE}"}}',
]


@pytest.fixture
def recorder(db, tmp_path, monkeypatch):
    monkeypatch.setattr(writer.Writer, "_start", lambda _self: None)
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    recorder = Recorder()
    yield recorder
    recorder._writer._spool.release()


def record(recorder: Recorder, secret: str, **fields) -> None:
    said = f"Use {secret} and be quick."
    steps = [{**TRACE["steps"][0], "details": said}]
    trace: Any = {**TRACE, "notes": [said], "steps": steps}
    handle = recorder.begin(
        prompt=said,
        requested_model=secret,
        key_name=secret,
        parameters={"stop": said, "list": [said]},
    )
    handle.end(
        RequestStatus.FAILED,
        answer="x" * 480 + said,
        error_message=said,
        trace=trace,
        **fields,
    )


def every_column() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM history_app_requestrecord")
        return repr(cursor.fetchall())


@pytest.mark.parametrize("how", ["preview", "full"])
@pytest.mark.parametrize("secret", SECRETS)
def test_it_is_masked_in_every_column_and_in_the_spool(
    recorder, monkeypatch, tmp_path, caplog, secret, how
):
    env = settings.ENV.model_copy(update={"VENOM_STORE_PROMPTS": how})
    monkeypatch.setattr(settings, "ENV", env)
    caplog.set_level(logging.DEBUG)
    record(recorder, secret)
    recorder._writer._to_spool()
    (path,) = (tmp_path / "spool").glob("*.jsonl")
    assert CORE not in path.read_text()
    assert "be quick" in path.read_text()
    recorder.flush_at_exit()
    spool.replay()
    record(recorder, secret)
    recorder.flush()
    assert RequestRecord.objects.count() == 2
    assert CORE not in every_column()
    assert all(row.trace["notes"] for row in RequestRecord.objects.all())
    assert CORE not in caplog.text


def test_a_row_that_the_database_refuses_is_not_quoted_in_the_log(recorder, caplog):
    """PostgreSQL's answer holds the whole row."""
    record(recorder, SECRETS[1], http_status=-1)
    recorder.flush()
    assert "history row dropped" in caplog.text
    assert "be quick" not in caplog.text
    assert json.dumps(CORE) not in caplog.text
