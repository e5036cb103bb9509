"""The daily job on the logs of this node's servers."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import override_settings

from models_app.models import Node
from runtime_app.models import Runtime
from runtime_app.services import server_logs
from tests.factories import RuntimeFactory
from venom_site.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture
def logs(tmp_path):
    with override_settings(DATA_DIR=tmp_path):
        folder = tmp_path / "logs"
        folder.mkdir()
        yield folder


def test_the_logs_of_this_node_s_servers_are_packed_and_old_ones_go(logs):
    node = Node.objects.create(name="elsewhere")
    mine = RuntimeFactory(node__name=settings.NODE, name="mine")
    RuntimeFactory(node=node, name="theirs")
    for name in ("mine", "theirs", "notes"):
        (logs / f"{name}.log").write_text("line\n")
    (logs / "mine-20200101T000000Z.log").write_text("old\n")

    assert server_logs.rotate_server_logs() == 1
    assert server_logs.rotate_server_logs() == 0

    names = sorted(path.name for path in logs.iterdir())
    assert names[0].startswith(f"{mine.name}-")
    assert names[0].endswith(".log.gz")
    assert names[1:] == ["mine.log", "notes.log", "theirs.log"]
    assert (logs / "mine.log").read_text() == ""


def test_a_machine_without_logs_has_nothing_to_do(tmp_path):
    RuntimeFactory(node__name=settings.NODE)
    with override_settings(DATA_DIR=tmp_path / "none"):
        assert server_logs.rotate_server_logs() == 0
    assert Runtime.objects.count() == 1


def test_it_is_a_job_of_each_day():
    jobs = {job["task"]: job["schedule"] for job in app.conf.beat_schedule.values()}
    assert jobs["runtime_app.fan_out_log_rotation"] == 24 * 3600
    server_logs.fan_out()  # a broker that is away costs a warning
