"""The looks of the doctor, each well and ill."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from models_app.models import Node
from tests.factories import NodeFactory, RuntimeFactory
from tests.fakes.nvml import PracticeNvml, pynvml
from venom_site import checks, doctor
from venom_site.clients import hardware
from venom_site.clients.nvml import GpuReader
from venom_site.lib import secrets

pytestmark = pytest.mark.django_db


def test_a_node_seen_a_moment_ago_means_that_the_scheduler_works():
    NodeFactory(last_seen_at=timezone.now())

    assert doctor.scheduler().level == "ok"


def test_a_node_not_seen_for_long_is_bad_and_says_since_when():
    NodeFactory()
    assert doctor.scheduler().level == "bad"
    Node.objects.update(last_seen_at=timezone.now() - timedelta(seconds=90))

    finding = doctor.scheduler()

    assert finding.level == "bad"
    assert "90 s ago" in finding.sentence


def test_a_runtime_that_is_away_is_a_warning_and_one_online_is_not():
    RuntimeFactory(name="ollama", online=True)
    RuntimeFactory(
        name="mine",
        display_name="Mine",
        kind="openai_compatible",
        status="offline",
        error_message="refused Bearer sk-abcdefghijklmn",
    )

    levels = {finding.name: finding for finding in doctor.runtimes()}

    assert levels["runtime ollama"].level == "ok"
    assert levels["runtime mine"].level == "warn"
    assert "abcdefghijklmn" not in levels["runtime mine"].sentence


def test_a_gpu_library_that_fails_is_a_warning_and_no_gpu_is_none(monkeypatch):
    broken = GpuReader(PracticeNvml(failure=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))
    monkeypatch.setattr(hardware, "_reader", lambda: broken)
    [finding] = doctor.look_everywhere({"gpus"})
    assert finding.level == "warn"
    assert "RM has detected an NVML/RM version mismatch" in finding.sentence

    absent = GpuReader(PracticeNvml(failure=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    monkeypatch.setattr(hardware, "_reader", lambda: absent)
    [finding] = doctor.look_everywhere({"gpus"})
    assert (finding.level, finding.sentence) == ("ok", "There is none.")


@pytest.mark.parametrize(("scope", "level"), [("system", "ok"), ("user", "warn")])
def test_without_systemd_it_says_that_servers_are_our_own_processes(
    scope, level, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    changed = {"VENOM_SYSTEMD_SCOPE": scope}
    settings.ENV = settings.ENV.model_copy(update=changed)

    [finding] = doctor.look_everywhere({"units"})

    assert finding.level == level
    assert "processes of Venom's own" in finding.sentence


def test_a_stored_key_that_does_not_open_is_bad_and_named():
    RuntimeFactory(name="mine", encrypted_key=secrets.encrypt("sk-1234567890abcdef"))
    assert doctor.keys().level == "ok"
    RuntimeFactory(name="lost", encrypted_key="nonsense")

    finding = doctor.keys()

    assert finding.level == "bad"
    assert "lost" in finding.sentence


def test_a_clock_that_was_set_back_is_a_warning():
    assert doctor.clock().level == "ok"
    NodeFactory(last_seen_at=timezone.now() + timedelta(minutes=5))

    assert doctor.clock().level == "warn"


def test_a_folder_that_cannot_be_written_is_bad(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "not" / "there"

    assert doctor.folders().level == "bad"
    assert checks.folders()[0].id == "venom.E001"


def test_little_disk_space_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 10**18)

    assert doctor.disk().level == "warn"


def test_a_look_that_falls_ill_is_a_finding_and_the_others_go_on(monkeypatch):
    def ill():
        raise ZeroDivisionError("secret details")

    def away():
        raise OperationalError("database is locked")

    monkeypatch.setattr(
        doctor, "LOOKS", (("one", ill), ("two", away), ("disk", doctor.disk))
    )

    found = list(doctor.look_everywhere())

    assert [finding.level for finding in found][:2] == ["bad", "bad"]
    assert "secret details" not in found[0].sentence
    assert "locked" in found[1].sentence
    assert found[2].name == "disk"


def test_the_command_ends_with_one_when_something_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "LOOKS", (("scheduler", doctor.scheduler),))

    with pytest.raises(SystemExit) as end:
        call_command("doctor")

    assert end.value.code == 1
    assert "bad   scheduler" in capsys.readouterr().out
    NodeFactory(last_seen_at=timezone.now())
    call_command("doctor")
    assert "ok    scheduler" in capsys.readouterr().out


def test_debug_beyond_loopback_is_warned_of(settings):
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = settings.LOOPBACK_HOSTS
    assert checks.debug_is_for_loopback() == []
    settings.ALLOWED_HOSTS = [*settings.LOOPBACK_HOSTS, "venom.example"]

    assert checks.debug_is_for_loopback()[0].id == "venom.W001"
    settings.ALLOWED_HOSTS = ["*"]
    assert checks.any_host_is_allowed()[0].id == "venom.W002"
