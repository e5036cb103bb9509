"""What this machine has room for: hardware, store, and how its runtimes are set."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings

from models_app.services import machine
from models_app.services.fit import judge
from models_app.services.machine import ollama_serving, read_machine, vllm_serving
from models_app.services.nodes import this_node
from models_app.services.storage import Storage, storage_of
from tests.factories import InstalledModelFactory, RuntimeFactory
from tests.fakes.nvml import PracticeGpu

pytestmark = pytest.mark.django_db

GIB = 1 << 30
GB = 10**9


@pytest.fixture
def env(settings):
    """env(OLLAMA_NUM_PARALLEL=4): the product's settings with these changed."""

    def change(**given):
        settings.ENV = django_settings.ENV.model_copy(update=given)

    return change


def storage(**given):
    told = {
        "used_bytes": 10 * GB,
        "reserved_bytes": 0,
        "limit_bytes": 50 * GB,
        "disk_free_bytes": 100 * GB,
        "disk_total_bytes": 200 * GB,
    }
    return Storage(**(told | given))


def test_gpus_come_with_room_and_capability(gpus):
    gpus(PracticeGpu(used=2 * GIB, total=12 * GIB))
    [gpu] = read_machine().gpus
    assert (gpu.free_bytes, gpu.total_bytes) == (10 * GIB, 12 * GIB)
    assert gpu.capability == (8, 6)


def test_without_a_gpu_there_is_memory(gpus):
    gpus()
    here = read_machine()
    assert here.gpus == ()
    assert 0 < here.memory_free_bytes <= here.memory_total_bytes


def test_hardware_is_asked_once_for_many_looks(gpus):
    library = gpus(PracticeGpu())
    for _ in range(20):
        read_machine()
    assert library.counted == 1


@pytest.mark.parametrize(
    ("figures", "free"),
    [
        ({}, 40 * GB),
        ({"disk_free_bytes": 10 * GB}, 10 * GB - GB // 2),
        ({"disk_free_bytes": 0}, 0),
        ({"disk_free_bytes": None}, 40 * GB),
        ({"used_bytes": 60 * GB}, 0),
    ],
)
def test_the_store_has_what_quota_and_disk_leave(figures, free):
    assert read_machine(storage(**figures)).store_free_bytes == free


def test_the_store_is_read_where_nobody_has_its_figures():
    InstalledModelFactory(size_bytes=8 * GB)
    known = storage_of(this_node())
    assert read_machine().store_free_bytes <= known.free_bytes


def held(size, **runtime):
    loaded = [{"name": "g:1b", "size_vram_bytes": size}, {"name": "cpu:1b"}]
    return RuntimeFactory(loaded_models=loaded, **runtime)


def test_what_a_runtime_holds_is_there_for_the_next_model(gpus):
    gpus(PracticeGpu(used=11 * GIB, total=12 * GIB))
    held(9 * GIB, online=True)
    here = read_machine(storage())

    assert here.held_bytes == 9 * GIB
    assert judge(None, here, runtime="ollama", size_bytes=6 * GIB).verdict == "fits"


def test_a_server_that_is_away_holds_nothing(gpus):
    gpus(PracticeGpu())
    held(9 * GIB, status="offline")
    RuntimeFactory(name="second", online=True)
    assert read_machine(storage()).held_bytes == 0


def test_one_server_that_is_away_does_not_hide_another(gpus):
    gpus(PracticeGpu())
    held(9 * GIB, status="offline")
    held(2 * GIB, name="second", online=True)
    assert read_machine(storage()).held_bytes == 2 * GIB


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("balanced-12-24gb", (32_768, 2, "q8_0")),
        ("low-vram-8-12gb", (16_384, 1, "q4_0")),
        ("max-context-24gb-plus", (65_536, 1, "q8_0")),
    ],
)
def test_each_profile_of_ollama_is_counted_with(env, profile, expected):
    env(VENOM_OLLAMA_PROFILE=profile)
    serving = ollama_serving()
    assert (serving.context, serving.parallel, serving.kv_type) == expected


def test_single_settings_win_over_the_profile(env):
    env(OLLAMA_CONTEXT_LENGTH=4096, OLLAMA_NUM_PARALLEL=3, OLLAMA_KV_CACHE_TYPE="f16")
    serving = ollama_serving()
    assert (serving.context, serving.parallel, serving.kv_type) == (4096, 3, "f16")


def test_without_flash_attention_the_cache_is_not_quantized(env):
    env(OLLAMA_FLASH_ATTENTION=False, OLLAMA_KV_CACHE_TYPE="q4_0")
    assert ollama_serving().kv_type == "f16"


def test_vllm_is_counted_with_its_settings(env):
    assert vllm_serving().gpu_share == machine.VLLM_GPU_SHARE
    env(VLLM_MAX_MODEL_LEN=8192, VLLM_GPU_MEMORY_UTILIZATION=0.5, VLLM_DTYPE="float16")
    serving = vllm_serving()
    assert (serving.context, serving.gpu_share, serving.dtype) == (8192, 0.5, "float16")
