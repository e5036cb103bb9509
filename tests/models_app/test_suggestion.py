"""Which model an empty installation offers, by the figures of its machine."""

from __future__ import annotations

import pytest

from models_app.services import suggestion
from models_app.services.nodes import this_node
from models_app.services.storage import storage_of
from models_app.services.suggestion import Room, choose, obstacle, suggestion_for

GB = 10**9


def room(**given):
    figures = {"disk_bytes": 100 * GB, "quota_bytes": 50 * GB, "memory_bytes": 16 * GB}
    return Room(**(figures | given))


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        ({"memory_bytes": 2.4 * GB}, "gemma3:270m"),
        ({"memory_bytes": 3 * GB}, "gemma3:1b"),
        ({"memory_bytes": 6 * GB}, "gemma3:1b"),
        ({"memory_bytes": 6.1 * GB}, "gemma3:4b"),
        ({"memory_bytes": 500 * GB}, "gemma3:4b"),
        ({"gpu_bytes": 6 * GB}, "gemma3:4b"),
        ({"gpu_bytes": 12 * GB}, "gemma3:12b"),
        ({"gpu_bytes": 80 * GB}, "gemma3:27b"),
        ({"gpu_bytes": 80 * GB, "memory_bytes": 1 * GB}, "gemma3:27b"),
        ({"gpu_bytes": 80 * GB, "quota_bytes": 9 * GB}, "gemma3:12b"),
        ({"gpu_bytes": 80 * GB, "disk_bytes": 9 * GB}, "gemma3:12b"),
        ({"gpu_bytes": 80 * GB, "disk_bytes": 8.3 * GB}, "gemma3:4b"),
        ({"gpu_bytes": 0}, "gemma3:4b"),
        ({"disk_bytes": None}, "gemma3:4b"),
    ],
)
def test_the_largest_that_fits_is_chosen(figures, name):
    chosen = choose(room(**figures))
    assert chosen is not None
    assert chosen.name == name


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"memory_bytes": 2 * GB}, "more memory than the 1.9 GiB"),
        ({"quota_bytes": 0}, "MODELS_MAX_DISK_GB leaves 0 B"),
        ({"disk_bytes": 0.6 * GB}, "the disk has 100 MB left"),
        ({"disk_bytes": 0}, "the disk has 0 B left"),
    ],
)
def test_where_nothing_fits_the_obstacle_is_named(figures, words):
    assert suggestion_for(room(**figures)) is None
    assert "gemma3:270m" in obstacle(room(**figures))
    assert words in obstacle(room(**figures))


def test_where_something_fits_there_is_no_obstacle():
    assert obstacle(room()) == ""


def test_the_sentence_says_size_and_where_it_fits():
    on_cpu, on_gpu = suggestion_for(room()), suggestion_for(room(gpu_bytes=12 << 30))
    assert on_cpu is not None
    assert on_gpu is not None
    assert on_cpu.sentence == (
        "gemma3:4b (3.3 GB) fits this machine: 14.9 GiB of memory free."
    )
    assert on_gpu.sentence == (
        "gemma3:12b (8.2 GB) fits this machine: 12.0 GiB free on its GPU."
    )
    assert (on_cpu.name, on_cpu.size_bytes) == ("gemma3:4b", 3_340_000_000)


def test_a_profile_that_installs_nothing_is_offered_nothing(settings):
    settings.RUNTIME_PROFILE = "llm_off"
    assert suggestion.suggested_model() is None


@pytest.mark.django_db
def test_the_figures_of_this_machine_are_read(settings):
    settings.RUNTIME_PROFILE = "light"
    room_here = suggestion.read_room(storage_of(this_node()))
    assert room_here.memory_bytes > 0
    assert room_here.quota_bytes > 0
    assert (suggestion.suggested_model() is None) == bool(obstacle(room_here))
