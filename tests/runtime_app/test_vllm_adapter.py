"""The vLLM adapter: its counters, and what it takes for a sign of life."""

from __future__ import annotations

import time

import pytest

from runtime_app.choices import ManagedBy, RuntimeKind, RuntimeStatus, Wish
from runtime_app.monitoring import health
from runtime_app.runtimes import registry, vllm
from runtime_app.runtimes.vllm import Progress, TokenWatch, VllmAdapter
from tests.factories import RuntimeFactory
from tests.fakes.waiting import wait_until
from venom_site.clients.vllm import VllmMetrics, read_metrics
from venom_site.lib.errors import WireError

pytest_plugins = ("tests.fakes.fixtures",)

COUNTERS = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b}"} 3.0
vllm:num_requests_waiting{engine="0",model_name="a"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:generation_tokens_total{engine="0",model_name="a"} 1.5e+03
vllm:generation_tokens_total{engine="1",model_name="a"} 500.0
vllm:generation_tokens_created{engine="0",model_name="a"} 1.7951e+09
vllm:prompt_tokens_total{engine="0",model_name="a"} 40.0 1795173370000
vllm:prompt_tokens_created{engine="0",model_name="a"} 1.7951e+09
vllm:nothing_total{engine="0"} NaN
process_resident_memory_bytes 6.5e+08
"""


def running(count: int, tokens: int) -> VllmMetrics:
    return VllmMetrics(
        running=count,
        waiting=0,
        generation_tokens=tokens,
        prompt_tokens=10,
        kv_cache_usage=0.1,
    )


def test_counters_are_summed_and_their_times_left_out():
    found = read_metrics(COUNTERS)

    assert (found.running, found.waiting, found.kv_cache_usage) == (3, 2, 0.25)
    assert (found.generation_tokens, found.prompt_tokens) == (2000, 40)


@pytest.mark.parametrize("text", ["", "<html>vllm</html>", "vllm:\nvllm:x{\nvllm:y z"])
def test_what_is_no_counter_of_vllm_is_refused(text):
    with pytest.raises(WireError):
        read_metrics(text)


def test_an_old_version_lacks_some_counters():
    found = read_metrics("vllm:num_requests_running 1")

    assert (found.running, found.generation_tokens) == (1, None)


def test_a_server_at_work_stands_still_only_without_a_single_token():
    progress = Progress()

    assert progress.standstill(running(1, 5), 100) == 0
    assert progress.standstill(running(1, 5), 130) == 30
    assert progress.standstill(running(1, 6), 140) == 0
    assert progress.standstill(running(1, 6), 200) == 60
    assert progress.standstill(running(0, 6), 205) == 0
    assert progress.standstill(running(2, 6), 210) == 5


def test_a_token_that_does_not_come_is_said_until_one_comes(monkeypatch):
    answers = [WireError("No answer within 30 s."), None]

    def one_token(model):
        if (error := answers.pop(0)) is not None:
            raise error

    watch = TokenWatch(one_token)
    watch.ask("practice")
    wait_until(lambda: "gave no token" in watch.sentence)
    watch.ask("practice")
    assert len(answers) == 1

    monkeypatch.setattr(vllm, "TOKEN_AGAIN_SECONDS", 0)
    wait_until(lambda: not watch._busy.locked())
    watch.ask("practice")
    wait_until(lambda: not watch.sentence)


@pytest.fixture
def vllm_row(db, practice_openai, settings):
    settings.RUNTIME_PROFILE = "full"
    return RuntimeFactory(
        name="vllm",
        kind=RuntimeKind.VLLM,
        base_url=f"{practice_openai.url}/v1",
        managed_by=ManagedBy.PROCESS,
    )


@pytest.mark.django_db(transaction=True)
def test_only_a_server_of_ours_is_asked_for_tokens(vllm_row, practice_openai):
    adapter = registry.adapter_for(vllm_row)
    assert isinstance(adapter, VllmAdapter)
    assert adapter.is_ours is False

    vllm_row.wish = Wish.RUNNING
    assert registry.adapter_for(vllm_row) is adapter
    assert adapter.is_ours is True

    vllm_row.managed_by = ManagedBy.EXTERNAL
    assert registry.adapter_for(vllm_row).is_ours is False


@pytest.mark.django_db(transaction=True)
def test_a_server_without_counters_is_online_all_the_same(vllm_row):
    seen = health.check_runtime(vllm_row)

    assert seen.status == RuntimeStatus.ONLINE


def test_an_engine_that_hangs_is_degraded_with_the_reason(practice_openai, monkeypatch):
    adapter = VllmAdapter(f"{practice_openai.url}/v1")
    try:
        monkeypatch.setattr(adapter, "metrics", lambda: running(2, 7))
        assert adapter.observe().status == RuntimeStatus.ONLINE
        adapter._progress.since = time.monotonic() - vllm.STANDSTILL_SECONDS
        seen = adapter.observe()
    finally:
        adapter.close()

    assert seen.status == RuntimeStatus.DEGRADED
    assert "2 requests" in seen.error
    assert not seen.is_failure
