"""Faults of the machine in the midst of a switch: no room for logs, folders that take
no file, a broken GPU library. Each leaves the last good model and names the remedy."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest

from models_app.services import machine
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.active import active_payload
from tests.fakes.nvml import PracticeGpu, PracticeNvml
from tests.runtime_app.switches import activated, fresh, living, log_of
from venom_site.clients import hardware
from venom_site.clients.nvml import GpuReader
from venom_site.lib.kept import Kept

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.switch_fixtures")

GOOD, OTHER, BAD = "acme/good-7b", "acme/other-7b", "acme/bad-7b"


@pytest.fixture
def full_disk():
    """full_disk(folder) → the folder is a file system of its own without a free byte;
    where none may be mounted the test is skipped."""
    mounted = []

    def fill(folder):
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
        with suppress(FileNotFoundError):
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                mounted.append(folder)
        if folder not in mounted:
            pytest.skip("may not mount a small file system")
        descriptor = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
        os.close(descriptor)

    yield fill
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def served(vllm) -> list[str]:
    return [entry["name"] for entry in adapter_for(vllm).list_models()]


def assert_as_before(vllm, pid=None):
    assert (served(vllm), active_payload()["model"]) == ([GOOD], GOOD)
    assert fresh(vllm).status == "online"
    if pid is not None:
        assert fresh(vllm).pid == pid, "nothing was stopped"


def test_a_disk_that_is_full_of_logs_keeps_no_model_from_serving(
    vllm, hub_model, actor, tmp_path, full_disk
):
    hub_model(GOOD), hub_model(OTHER)
    full_disk(tmp_path / "logs")

    assert activated(vllm, GOOD, actor).status == "completed"
    operation = activated(vllm, OTHER, actor)

    assert operation.status == "completed", operation.error
    assert served(vllm) == [OTHER]


def test_a_start_that_fails_unheard_names_the_log_that_took_no_line(
    vllm, hub_model, actor, tmp_path, full_disk
):
    hub_model(GOOD), hub_model(BAD, fail="bad_weights")
    full_disk(tmp_path / "logs")
    assert activated(vllm, GOOD, actor).status == "completed"

    operation = activated(vllm, BAD, actor)

    assert operation.error_code == "start_failed"
    assert "No space left on device" in operation.error
    assert f"{tmp_path / 'logs'}" in operation.error
    assert "Make room" in operation.error
    assert_as_before(vllm)


def test_a_full_disk_for_the_launch_file_stops_nothing(
    vllm, hub_model, actor, tmp_path, full_disk
):
    hub_model(GOOD), hub_model(OTHER)
    assert activated(vllm, GOOD, actor).status == "completed"
    pid = fresh(vllm).pid
    full_disk(tmp_path / "runtimes")

    operation = activated(vllm, OTHER, actor)

    assert operation.error_code == "launch_refused", operation.error
    assert "No space left on device" in operation.error
    assert "Make room" in operation.error
    assert "stopping" not in operation.checkpoint["steps"]
    assert_as_before(vllm, pid)


def test_a_launch_file_that_cannot_be_replaced_stops_nothing(
    vllm, hub_model, actor, tmp_path
):
    hub_model(GOOD), hub_model(OTHER)
    assert activated(vllm, GOOD, actor).status == "completed"
    pid, file = fresh(vllm).pid, tmp_path / "runtimes" / "vllm.json"
    file.unlink()
    file.mkdir()

    operation = activated(vllm, OTHER, actor)

    assert operation.error_code == "launch_refused", operation.error
    assert str(file) in operation.error
    assert_as_before(vllm, pid)


def test_the_disk_that_fills_during_the_start_does_not_keep_the_former_from_returning(
    vllm, hub_model, actor, tmp_path, monkeypatch
):
    """From the moment the new launch file lies there, no byte more fits."""
    hub_model(GOOD), hub_model(BAD, fail="bad_weights")
    assert activated(vllm, GOOD, actor).status == "completed"
    real, folder = os.fsync, tmp_path / "runtimes"

    def full(descriptor):
        lies = folder / "vllm.json"
        if BAD in lies.read_text():
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)

    operation = activated(vllm, BAD, actor)

    assert operation.error_code == "start_failed"
    assert "SafetensorError" in operation.error
    assert "could not be brought back" not in operation.error
    assert f"Back to {GOOD} on vLLM" in log_of(operation)
    assert_as_before(vllm)


def test_a_note_of_the_process_that_cannot_be_written_or_deleted_is_no_fault(
    vllm, hub_model, actor, tmp_path
):
    hub_model(GOOD), hub_model(OTHER)
    (tmp_path / "runtimes" / "vllm.process" / "kept").mkdir(parents=True)

    assert activated(vllm, GOOD, actor).status == "completed"
    operation = activated(vllm, OTHER, actor)

    assert operation.status == "completed", operation.error
    assert served(vllm) == [OTHER]


def test_a_model_folder_that_cannot_be_looked_at_is_a_refusal(
    vllm, hub_model, actor, page_client
):
    hub_model(GOOD)
    other = hub_model(OTHER)
    assert activated(vllm, GOOD, actor).status == "completed"
    pid = fresh(vllm).pid
    other.path = "/tmp/" + 300 * "x"  # the system refuses to look: no permission bits
    other.save()

    answer = page_client("Operator").post(
        "/runtimes/vllm/activate/", {"model": OTHER, "when": "now"}
    )

    assert answer.status_code == 409
    page = answer.content.decode()
    assert "cannot be looked into (File name too long)" in page
    assert "Let the user that runs Venom read it" in page
    assert_as_before(vllm, pid)


def test_a_program_that_is_no_program_any_more_is_named(
    vllm, hub_model, actor, settings, tmp_path
):
    """It may be run, says its mode, and the kernel knows no such format."""
    hub_model(GOOD)
    program = tmp_path / "vllm"
    program.write_bytes(b"\x00\x01 no program")
    program.chmod(0o755)
    settings.ENV = settings.ENV.model_copy(update={"VLLM_COMMAND": f"{program} serve"})

    operation = activated(vllm, GOOD, actor)

    assert operation.error_code == "start_failed"
    assert f"{program} does not start: Exec format error" in operation.error
    assert not living()


class BrokenNvml(PracticeNvml):
    """Opens, counts, and then fails as a half replaced driver does."""

    error: Exception = OSError("undefined symbol: nvmlDeviceGetMemoryInfo_v2")

    def nvmlDeviceGetMemoryInfo(self, gpu):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        OSError("libnvidia-ml.so.1: undefined symbol"),
        AttributeError("nvmlDeviceGetMemoryInfo_v3"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RuntimeError("driver went away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_gpu_library_that_breaks_between_two_models_ends_no_switch(
    vllm, hub_model, actor, monkeypatch, error
):
    hub_model(GOOD), hub_model(OTHER)
    assert activated(vllm, GOOD, actor).status == "completed"
    library = BrokenNvml([PracticeGpu()])
    library.error = error
    reader = GpuReader(library)
    monkeypatch.setattr(hardware, "_reader", lambda: reader)

    operation = activated(vllm, OTHER, actor)

    assert operation.status == "completed", operation.error
    assert served(vllm) == [OTHER]


def test_a_model_for_a_gpu_says_that_the_library_is_broken(
    vllm, hub_model, actor, monkeypatch
):
    hub_model(GOOD)
    needy = hub_model(OTHER)
    assert activated(vllm, GOOD, actor).status == "completed"
    pid = fresh(vllm).pid
    needy.requires_gpu, needy.size_bytes = True, 1 << 30
    needy.save()
    reader = GpuReader(BrokenNvml([PracticeGpu()]))
    monkeypatch.setattr(hardware, "_reader", lambda: reader)
    # What was read for the first model would be kept for seconds.
    monkeypatch.setattr(machine, "_hardware", Kept(machine._read_hardware, at_least=2))

    with pytest.raises(Exception, match="nvidia-smi") as refused:
        activated(vllm, OTHER, actor)

    assert refused.value.code == "does_not_fit"
    assert "undefined symbol" in str(refused.value)
    assert_as_before(vllm, pid)
