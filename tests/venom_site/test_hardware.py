"""What this machine has: figures where there are some, nothing where there are none."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.nvml import PracticeGpu, PracticeNvml, pynvml
from venom_site.clients import hardware
from venom_site.clients.gpus import Gpu
from venom_site.clients.nvml import GpuReader


def test_a_gpu_is_read_with_its_memory_and_load():
    [gpu] = GpuReader(PracticeNvml()).read()

    name = "NVIDIA GeForce RTX 3060"
    assert gpu == Gpu(0, name, 5 << 30, 12 << 30, 42, (8, 6), 54, 71.5)
    assert gpu.free_bytes == 7 << 30


@pytest.mark.parametrize(
    "failure",
    [
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        pynvml.NVML_ERROR_NO_PERMISSION,
    ],
)
def test_a_machine_whose_nvml_does_not_open_has_no_gpu(failure):
    assert GpuReader(PracticeNvml(failure=failure)).read() == []


ODD = [
    OSError("undefined symbol: nvmlInit_v2"),
    AttributeError("nvmlInit"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ctypes.ArgumentError("wrong type"),
    IndexError("list index out of range"),
]
ASKED = (
    *("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"),
    *("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetName", "nvmlSystemGetDriverVersion"),
    *("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses"),
)


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ASKED)
def test_a_library_that_fails_in_a_way_of_its_own_raises_nothing(name, error):
    def fail(*_):
        raise error

    library = PracticeNvml()
    setattr(library, name, fail)
    reader = GpuReader(library)

    reader.read(), reader.processes(), reader.driver_version()

    is_needed = name in ASKED[:5]
    assert bool(reader.fault) == is_needed


def test_a_library_that_answers_again_has_no_fault_any_more(caplog):
    library = PracticeNvml(failure=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    reader = GpuReader(library)
    reader.read(), reader.read()
    assert "version mismatch" in reader.fault
    assert caplog.text.count("gpu library fails") == 1, "said once"

    library.failure = None

    assert len(reader.read()) == 1
    assert reader.fault == ""


def test_a_machine_without_a_driver_has_no_fault():
    reader = GpuReader(PracticeNvml(failure=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    assert (reader.read(), reader.fault) == ([], "")


def test_a_driver_without_a_gpu_is_an_empty_list():
    assert GpuReader(PracticeNvml(gpus=[])).read() == []


def test_a_lost_gpu_is_left_out_and_the_others_keep_their_index():
    library = PracticeNvml([PracticeGpu(is_lost=True), PracticeGpu(name="Second")])
    assert [(g.index, g.name) for g in GpuReader(library).read()] == [(1, "Second")]


def test_a_gpu_that_will_not_say_how_busy_it_is_has_no_load():
    [gpu] = GpuReader(PracticeNvml([PracticeGpu(busy=None)])).read()
    assert gpu.utilization_percent is None


def test_a_gpu_that_will_not_say_what_it_can_do_has_no_capability():
    [gpu] = GpuReader(PracticeNvml([PracticeGpu(capability=None)])).read()
    assert gpu.capability is None


def test_a_gpu_without_thermometer_and_meter_has_no_heat_and_no_power():
    [gpu] = GpuReader(PracticeNvml([PracticeGpu(celsius=None, watts=None)])).read()
    assert (gpu.temperature_celsius, gpu.power_watts) == (None, None)


def test_the_driver_has_a_version_where_there_is_a_driver():
    assert GpuReader(PracticeNvml()).driver_version() == "570.86.15"
    absent = PracticeNvml(failure=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert GpuReader(absent).driver_version() is None


@pytest.mark.parametrize("is_old", [False, True])
def test_memory_by_process_adds_up_over_gpus_and_counts_drawing_once(is_old):
    first = PracticeGpu(computing={7: 3 << 30, 8: 1 << 30}, drawing={7: 3 << 30})
    second = PracticeGpu(computing={7: 2 << 30}, drawing={9: 5})
    processes = GpuReader(PracticeNvml([first, second], is_old=is_old)).processes()

    assert processes.bytes_of == {7: 5 << 30, 8: 1 << 30, 9: 5}
    assert processes.held_by([7, 8, 7, 99]) == 6 << 30


@pytest.mark.parametrize("size", [None, (1 << 64) - 1])
def test_a_process_whose_memory_is_not_available_is_not_known(size):
    """WDDM, and MIG without rights; one binding says None, an older one all ones."""
    nvml = PracticeNvml([PracticeGpu(computing={7: size})])
    assert GpuReader(nvml).processes().held_by([7]) is None


def test_gpus_that_do_not_list_their_processes_leave_the_memory_unknown():
    gpus = [PracticeGpu(computing=None, drawing=None), PracticeGpu(is_lost=True)]
    assert GpuReader(PracticeNvml(gpus)).processes().held_by([7]) is None


def test_nvml_is_opened_once_however_many_threads_ask():
    library = PracticeNvml()
    reader = GpuReader(library)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: reader.read(), range(64)))
    assert all(len(answer) == 1 for answer in answers)
    assert library.opened == 1


def test_a_driver_that_was_replaced_is_opened_anew():
    library = PracticeNvml()
    reader = GpuReader(library)
    assert reader.read()

    library.failure_of_count = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    assert reader.read() == []
    library.failure_of_count = None

    assert reader.read()
    assert library.opened == 2


def test_a_driver_that_comes_later_is_found():
    library = PracticeNvml(failure=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    reader = GpuReader(library)
    assert reader.read() == []
    library.failure = None
    assert len(reader.read()) == 1


def test_asking_this_very_machine_never_raises():
    for gpu in hardware.gpus():
        assert 0 <= gpu.used_bytes <= gpu.total_bytes


def test_importing_it_warns_nobody():
    code = "import warnings; warnings.simplefilter('error')\n"
    code += "import venom_site.clients.nvml as nvml; nvml.open_reader().read()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_this_machine_has_no_use_for_is_not_loaded(tmp_path):
    """NVML's module without a driver and Redis' client without a Redis are 15 MB."""
    given = {**os.environ, "VENOM_DATA_DIR": str(tmp_path)}
    given |= {"VENOM_ENV_FILE": os.devnull, "REDIS_URL": "", "DATABASE_URL": ""}
    code = "import sys, venom_site.asgi\n"
    code += "from venom_site.clients import hardware\n"
    code += "hardware.NVML = 'libnone.so'; assert hardware.gpus() == []\n"
    code += "print(*sorted({'pynvml', 'redis'} & set(sys.modules)))"
    told = subprocess.check_output(
        [sys.executable, "-c", code], env=given, text=True, timeout=120
    )
    assert told.strip() == ""


def test_a_folder_that_is_not_there_has_no_disk(tmp_path):
    assert hardware.disk(tmp_path / "nowhere") is None
    filled = hardware.disk(tmp_path)
    assert filled is not None
    assert filled.total_bytes > 0


def test_how_busy_the_processors_were_is_the_same_from_every_thread():
    meter = hardware.CpuMeter()
    assert meter.read() is None, "nothing to compare with"
    ends = time.monotonic() + 20
    while time.process_time() < 0.2 or (seen := meter.read()) is None:
        assert time.monotonic() < ends
    with ThreadPoolExecutor(1) as pool:
        sum(number * number for number in range(2_000_000))
        other = pool.submit(meter.read).result(10)
    assert 0 <= seen <= 100
    assert other is None or 0 < other <= 100
