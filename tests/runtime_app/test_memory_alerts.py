"""The alert `memory_high`: opens after two samples, closes five points below."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.models import Alert, Runtime
from runtime_app.monitoring import memory_alerts
from runtime_app.monitoring.alerts import close_what_cleared
from runtime_app.services import alerts
from tests.factories import NodeFactory, RuntimeFactory
from tests.runtime_app.sampling import GIB, machine
from venom_site.lib.access import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def node(db):
    return NodeFactory()


@pytest.fixture
def measure(node):
    """measure(86, 87) → these samples, the last one now; judged after each."""
    start, number = timezone.now() - timedelta(seconds=30), 0

    def add(*percents: float, gpus=()):
        nonlocal number
        for percent in percents:
            number += 1
            moment = start + timedelta(milliseconds=number)
            machine(node, moment, percent=percent, gpus=gpus)
            memory_alerts.judge(node, list(Runtime.objects.all()))
        return Alert.objects.open().first()

    return add


def test_one_sample_above_the_limit_is_not_enough_and_two_are(measure):
    assert measure(50, 90, 50, 90) is None

    alert = measure(86)

    assert (alert.code, alert.severity, alert.node) == (
        "memory_high",
        "warning",
        "test-node",
    )
    assert alert.message == "Memory of test-node: 86.0 GiB of 100.0 GiB used (86 %)."
    assert alert.sentence == "The memory of test-node is nearly full (RAM)."


def test_it_closes_five_points_below_and_does_not_flicker(measure, published):
    opened = measure(86, 86)
    for percent in (84, 86, 81, 85, 83, 80):
        assert measure(percent).pk == opened.pk
    assert measure(79.9) is None
    assert Alert.objects.count() == 1
    kinds = [kind for kind, _ in published]
    assert kinds == ["alert.changed", "alert.changed"], "opened and closed, no more"


def test_while_it_is_open_its_figures_and_time_go_on(measure):
    first = measure(86, 86)
    again = measure(93)
    assert "93 %" in again.message
    assert again.last_seen_at > first.last_seen_at
    assert again.count == 1


def test_each_gpu_has_an_alert_of_its_own(measure):
    full, free = (11, 12), (1, 8)
    measure(50, 50, gpus=[full, free])
    [alert] = Alert.objects.open()
    assert alert.key == "memory_high|test-node/gpu0|"
    assert alert.message.startswith("GPU 0 (Practice) of test-node: 11.0 GiB of 12.0")

    measure(90, 90, gpus=[full, (8, 8)])

    assert sorted(alert.error_class for alert in Alert.objects.open()) == [
        "GPU 0",
        "GPU 1",
        "RAM",
    ]


def test_the_largest_models_are_named(measure, node):
    def held(name, size, vram):
        return {"name": name, "size_bytes": size * GIB, "size_vram_bytes": vram * GIB}

    RuntimeFactory(loaded_models=[held("gemma3:4b", 9, 6), held("qwen3:0.6b", 1, 0)])
    RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind="vllm",
        loaded_models=[{"name": "tiny"}],
        memory_bytes=5 * GIB,
        vram_bytes=4 * GIB,
    )

    measure(90, 90, gpus=[(11, 12)])

    messages = {alert.error_class: alert.message for alert in Alert.objects.open()}
    assert messages["RAM"].endswith(
        "Largest models: tiny (vLLM) 5.0 GiB, gemma3:4b (Ollama) 3.0 GiB, "
        "qwen3:0.6b (Ollama) 1.0 GiB."
    )
    assert messages["GPU 0"].endswith(
        "Largest models: gemma3:4b (Ollama) 6.0 GiB, tiny (vLLM) 4.0 GiB."
    )


def test_the_limit_is_a_setting(measure, settings):
    limit = {"VENOM_MEMORY_ALERT_PERCENT": 95}
    settings.ENV = settings.ENV.model_copy(update=limit)
    assert measure(94, 94) is None
    assert measure(96, 96) is not None


def test_the_job_of_alerts_leaves_it_alone_while_it_is_measured(measure):
    measure(90, 90)
    close_what_cleared()
    assert Alert.objects.open().count() == 1

    Alert.objects.update(last_seen_at=timezone.now() - timedelta(minutes=6))
    close_what_cleared()
    assert Alert.objects.open().count() == 0, "nobody measures there any more"


def test_one_that_a_person_closed_opens_anew_while_it_lasts(measure):
    alerts.close_alert(measure(90, 90).pk, actor=SYSTEM)
    assert measure(91) is not None
    assert Alert.objects.count() == 2


def test_old_samples_say_nothing_of_now(node):
    for minutes in (5, 6):
        machine(node, timezone.now() - timedelta(minutes=minutes), percent=99)
    memory_alerts.judge(node, [])
    assert Alert.objects.count() == 0


def test_another_machine_s_memory_is_another_alert(measure):
    measure(90, 90)
    other = NodeFactory(name="other")
    for seconds in (1, 2):
        machine(other, timezone.now() - timedelta(seconds=seconds), percent=99)
    memory_alerts.judge(other, [])
    assert Alert.objects.open().count() == 2
