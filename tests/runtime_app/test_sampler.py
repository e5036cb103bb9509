"""Samples of a node: what is measured, kept once, and told when it can be seen."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from models_app.models import Node
from runtime_app.models import GatewayPresence, MachineSample, Runtime, RuntimeSample
from runtime_app.monitoring import health, machine_seen, sampler, server_counters
from runtime_app.monitoring.machine_seen import MachineEye
from runtime_app.monitoring.process_behind import ProcessFinder
from runtime_app.monitoring.told import Told, has_moved
from tests.factories import RuntimeFactory
from tests.fakes.nvml import PracticeGpu
from tests.fakes.waiting import wait_until
from venom_site.clients import hardware
from venom_site.lib.errors import WireError

pytestmark = pytest.mark.django_db(transaction=True)
pytest_plugins = ("tests.fakes.fixtures",)

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(autouse=True)
def fresh(monkeypatch, gpus):
    """A sampler that has seen and told nothing, on a machine without a GPU."""
    gpus()
    monkeypatch.setattr(sampler, "_eye", MachineEye())
    monkeypatch.setattr(sampler, "_finder", ProcessFinder())
    monkeypatch.setattr(sampler, "_counters", server_counters.CountersReader())
    monkeypatch.setattr(sampler, "_told", Told())


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds) → so much later; begins now."""
    start = timezone.now().replace(microsecond=0)
    monkeypatch.setattr(timezone, "now", lambda: start)

    def forward(seconds: float):
        moment = start + timedelta(seconds=seconds)
        monkeypatch.setattr(timezone, "now", lambda: moment)

    return forward


def test_a_look_keeps_the_machine_and_each_server_of_the_profile(ollama, settings):
    settings.RUNTIME_PROFILE = "light"
    RuntimeFactory(name="vllm", kind="vllm")

    sampler.sample_node()

    [machine] = MachineSample.objects.all()
    assert 0 < machine.memory_used_bytes < machine.memory_total_bytes
    assert (machine.gpus, machine.seconds, machine.cpu_percent) == ([], 10, None)
    [seen] = RuntimeSample.objects.all()
    assert (seen.runtime, seen.status, seen.seconds) == (ollama, "online", 10)
    assert seen.latency_ms == ollama.latency_ms
    assert seen.at == machine.at
    assert seen.at.timestamp() % 10 == 0
    assert 10 <= (timezone.now() - seen.at).total_seconds() < 60


def test_the_process_that_listens_is_found_with_its_memory_and_age(ollama, published):
    """The practice server listens in this very process."""
    sampler.sample_node()

    ollama.refresh_from_db()
    assert ollama.pid == os.getpid()
    assert ollama.memory_bytes > 10 * MIB
    assert ollama.uptime_seconds >= 0
    assert ollama.vram_bytes is None
    kinds = [kind for kind, _ in published]
    assert kinds == ["runtime.changed", "usage.sampled"]
    told = published[0][1]
    assert told["pid"] == os.getpid()
    assert told["memory_mb"] == round(ollama.memory_bytes / MIB, 1)
    assert told["uptime_seconds"] is not None
    usage = published[1][1]
    assert usage["node"] == "test-node"
    assert usage["runtimes"][0]["name"] == "ollama"
    assert usage["memory_used_mb"] < usage["memory_total_mb"]


def test_the_same_ten_seconds_are_kept_once(ollama, clock):
    sampler.sample_node()
    sampler.sample_node()
    assert RuntimeSample.objects.count() == MachineSample.objects.count() == 1

    clock(10)
    sampler.sample_node()
    assert RuntimeSample.objects.count() == MachineSample.objects.count() == 2


def test_what_nobody_would_see_is_not_told(ollama, published, clock):
    still = hardware.Filled(4 * GIB, 8 * GIB)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardware, "memory", lambda: still)
        patch.setattr(hardware.CpuMeter, "read", lambda _self: 3.0)
        sampler.sample_node()
        clock(10)
        sampler.sample_node()
        published.clear()
        clock(20)
        sampler.sample_node()
    assert published == []
    assert RuntimeSample.objects.count() == 3


def test_a_server_that_is_gone_has_no_memory_and_keeps_when_it_began(ollama, published):
    sampler.sample_node()
    Runtime.objects.update(status="offline")
    published.clear()

    sampler.sample_node()

    ollama.refresh_from_db()
    assert (ollama.pid, ollama.memory_bytes, ollama.uptime_seconds) == (None,) * 3
    assert ollama.process_started_at is not None
    assert published[0][0] == "runtime.changed"


def test_looks_of_the_health_check_and_samples_agree_on_who_it_is(ollama, published):
    """Else each would take back what the other wrote, and pages would flicker."""
    sampler.sample_node()
    health.check_node()
    published.clear()
    for _ in range(3):
        sampler.sample_node()
        health.check_node()
        ollama.refresh_from_db()
        assert (ollama.pid, ollama.managed_by) == (os.getpid(), "external")
        assert ollama.memory_bytes > 10 * MIB
        assert ollama.uptime_seconds is not None
    assert [kind for kind, _ in published if kind == "runtime.changed"] == []


def test_a_foreign_server_that_was_started_anew_counts_a_restart(ollama):
    Runtime.objects.update(pid=1)
    sampler.sample_node()
    ollama.refresh_from_db()
    assert (ollama.pid, ollama.restarts) == (os.getpid(), 1)
    sampler.sample_node()
    ollama.refresh_from_db()
    assert ollama.restarts == 1


def test_memory_on_a_gpu_is_that_of_the_whole_tree(ollama, gpus):
    gpus(PracticeGpu(computing={os.getpid(): 3 * GIB, 1: GIB}))

    sampler.sample_node()

    ollama.refresh_from_db()
    assert ollama.vram_bytes == 3 * GIB
    [machine] = MachineSample.objects.all()
    assert machine.gpus[0]["used_bytes"] == 5 * GIB
    assert machine.gpus[0]["temperature_celsius"] == 54


def test_where_no_driver_tells_the_server_s_own_word_counts(ollama, gpus):
    gpus(PracticeGpu(computing={}))
    held = [{"name": "gemma3:4b", "size_bytes": 4 * GIB, "size_vram_bytes": 2 * GIB}]
    Runtime.objects.update(loaded_models=held)

    sampler.sample_node()

    ollama.refresh_from_db()
    assert ollama.vram_bytes == 2 * GIB


def test_a_driver_that_never_answers_does_not_hold_the_sample(
    ollama, gpus, monkeypatch
):
    stuck, asked = threading.Event(), []
    monkeypatch.setattr(machine_seen, "GPU_SECONDS", 0.2)

    def hang():
        asked.append(1)
        stuck.wait(30)
        return []

    monkeypatch.setattr(hardware, "gpus", hang)
    sampler.sample_node()
    sampler.sample_node()

    assert MachineSample.objects.get().gpus == []
    assert len(asked) == 1, "not asked again while it hangs"
    stuck.set()
    wait_until(lambda: not sampler._eye._gpus_asked.locked(), seconds=10)


def test_requests_that_run_and_tokens_of_answers_that_ended_are_counted(ollama, clock):
    GatewayPresence.objects.create(
        node=Node.objects.get(),
        process="1",
        in_flight={"ollama|a": 2, "ollama|b": 1},
        seen_at=timezone.now(),
    )
    span = sampler.Span.just_ended(timezone.now())
    ended = [(3, 100), (9, 50), (-1, 999), (10, 999)]
    for second, tokens in ended:
        RequestRecord.objects.create(
            request_id=f"req{second}",
            runtime="ollama",
            status=RequestStatus.COMPLETED,
            created_at=span.begin - timedelta(seconds=30),
            finished_at=span.begin + timedelta(seconds=second),
            output_tokens=tokens,
        )

    sampler.sample_node()

    seen = RuntimeSample.objects.get()
    assert seen.requests_running == 3
    assert seen.output_tokens_per_second == 15.0
    assert seen.requests_waiting is None


class CountingAdapter:
    """Answers to `metrics()` as a server that counts for itself."""

    def __init__(self):
        self.tokens, self.failure = 1000, None

    def metrics(self):
        if self.failure:
            raise self.failure
        return SimpleNamespace(running=4, waiting=2, generation_tokens=self.tokens)


def test_a_server_that_counts_itself_is_believed(ollama, monkeypatch, clock):
    adapter, ticks = CountingAdapter(), iter((0.0, 10.0, 20.0, 30.0))
    monkeypatch.setattr(server_counters, "adapter_for", lambda _runtime: adapter)
    monkeypatch.setattr(
        server_counters, "time", SimpleNamespace(monotonic=ticks.__next__)
    )
    seen = []
    for look, tokens in enumerate((1000, 1500, 200)):
        adapter.tokens = tokens
        clock(look * 10)
        sampler.sample_node()
        seen.append(RuntimeSample.objects.order_by("at").last())

    assert {(row.requests_running, row.requests_waiting) for row in seen} == {(4, 2)}
    rates = [row.output_tokens_per_second for row in seen]
    assert rates == [None, 50.0, None], "unknown at first, and when it began anew"


@pytest.mark.parametrize("failure", [WireError("It did not answer."), ValueError("?")])
def test_counters_that_do_not_answer_leave_what_the_gateways_know(
    ollama, monkeypatch, failure
):
    adapter = CountingAdapter()
    adapter.failure = failure
    monkeypatch.setattr(server_counters, "adapter_for", lambda _runtime: adapter)
    sampler.sample_node()
    seen = RuntimeSample.objects.get()
    assert (seen.requests_running, seen.requests_waiting) == (0, None)
    assert seen.output_tokens_per_second == 0


def test_a_server_that_is_away_has_no_figures_but_a_row(db):
    RuntimeFactory(status="offline", latency_ms=None)
    sampler.sample_node()
    seen = RuntimeSample.objects.get()
    assert seen.status == "offline"
    figures = (seen.latency_ms, seen.requests_running, seen.memory_bytes)
    assert figures == (None, None, None)


def test_servers_of_another_node_are_left_to_it(db):
    elsewhere = Node.objects.create(name="elsewhere")
    RuntimeFactory(node=elsewhere, online=True)
    sampler.sample_node()
    assert RuntimeSample.objects.count() == 0
    assert MachineSample.objects.get().node.name == "test-node"


def test_two_looks_at_once_are_one(ollama):
    with sampler._one_at_a_time:
        sampler.sample_node()
    assert MachineSample.objects.count() == 0


def test_a_look_costs_few_queries(ollama, django_assert_max_num_queries):
    sampler.sample_node()
    health.check_node()
    with django_assert_max_num_queries(14):
        sampler.sample_node()


@pytest.mark.parametrize(
    ("told", "now", "moved"),
    [
        (None, None, False),
        (None, 0, True),
        (GIB, None, True),
        (GIB, GIB + 60 * MIB, False),
        (GIB, GIB + 70 * MIB, True),
        (40 * GIB, 41 * GIB, False),
        (40 * GIB, 43 * GIB, True),
        (GIB, 0, True),
    ],
)
def test_memory_has_moved_when_somebody_would_see_it(told, now, moved):
    assert has_moved(told, now) is moved


def test_growth_in_small_steps_is_told_once_it_can_be_seen(db):
    row, told, news = RuntimeFactory(memory_bytes=GIB), Told(), []
    for step in range(1, 21):
        fields = {"memory_bytes": GIB + step * 10 * MIB}
        if told.is_news_of(row, fields):
            news.append(step)
        row.memory_bytes = fields["memory_bytes"]
        if news and news[-1] == step:
            told.note(row)
    assert news == [7, 14]
