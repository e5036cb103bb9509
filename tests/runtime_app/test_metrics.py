"""`/metrics`: counters of this process and the state of the installation."""

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from history_app import metrics as module
from history_app.choices import RequestStatus
from history_app.metrics import RequestMetrics
from history_app.recorder import Recorder
from history_app.services import spool, writer
from models_app.models import Node
from runtime_app.api import metrics as view
from runtime_app.models import GatewayPresence
from tests.factories import AlertFactory, OperationFactory, RuntimeFactory
from tests.runtime_app.sampling import machine

pytestmark = pytest.mark.django_db

URL = "/metrics"


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Counters of no other test."""
    fresh = RequestMetrics()
    for place in (module, view, writer):
        monkeypatch.setattr(place, "request_metrics", fresh)
    return fresh


@pytest.fixture
def by_hand(monkeypatch):
    monkeypatch.setattr(writer.Writer, "_start", lambda _self: None)
    return Recorder()


@pytest.fixture
def scrape(api_client):
    client = api_client("read")

    def read() -> dict[tuple, float]:
        """(name, labels) → value, by Prometheus's own parser."""
        answer = client.get(URL)
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    return read


def serve(recorder, **fields):
    handle = recorder.begin(llm_provider="ollama", llm_model="gemma3:4b")
    ended = {"ttft_seconds": 0.3, "overhead_seconds": 0.0007} | fields
    handle.end(RequestStatus.COMPLETED, input_tokens=5, output_tokens=7, **ended)


WHO = (("model", "gemma3:4b"), ("provider", "ollama"))
DONE = ("venom_requests_total", *WHO, ("status", "completed"))


def test_a_request_is_counted_once_and_counters_only_grow(by_hand, scrape):
    handle = by_hand.begin(llm_provider="ollama", llm_model="gemma3:4b")
    by_hand.flush()
    assert DONE not in scrape()
    handle.end(RequestStatus.COMPLETED, output_tokens=7)
    by_hand.flush()
    by_hand.flush()
    assert scrape()[DONE] == 1
    serve(by_hand)
    by_hand.flush()
    assert scrape()[DONE] == 2


def test_tokens_times_and_fallbacks_are_measured(by_hand, scrape):
    serve(by_hand, fallback=True, reason_code="FALLBACK_OFFLINE")
    by_hand.flush()
    seen = scrape()
    tokens = ("venom_tokens_total", ("direction", "output"), *WHO)
    assert seen[tokens] == 7
    first = "venom_time_to_first_token_seconds"
    assert seen[f"{first}_bucket", ("le", "0.25"), *WHO] == 0
    assert seen[f"{first}_bucket", ("le", "0.5"), *WHO] == 1
    assert seen["venom_gateway_overhead_seconds_bucket", ("le", "0.001")] == 1
    fell = ("venom_fallbacks_total", *WHO, ("reason_code", "FALLBACK_OFFLINE"))
    assert seen[fell] == 1


def test_what_a_database_refused_is_counted_when_it_is_kept(
    by_hand, scrape, monkeypatch
):
    def broken(_rows):
        raise RuntimeError

    serve(by_hand)
    with monkeypatch.context() as away:
        away.setattr(writer.batches, "write", broken)
        with pytest.raises(RuntimeError):
            by_hand.flush()
        assert DONE not in scrape()
    by_hand.flush()
    assert scrape()[DONE] == 1


def test_what_is_spooled_counts_and_is_not_counted_again(
    by_hand, scrape, monkeypatch, tmp_path
):
    kept = []
    monkeypatch.setattr(spool.Spool, "append", lambda _self, rows: kept.extend(rows))
    serve(by_hand)
    by_hand.flush_at_exit()
    assert len(kept) == 1
    assert scrape()[DONE] == 1
    by_hand.flush()
    assert scrape()[DONE] == 1


def test_names_that_clients_invent_do_not_grow_for_ever(counted, monkeypatch):
    monkeypatch.setattr(module, "MOST_MODELS", 2)
    row = {"status": "FAILED", "finished_at": timezone.now(), "llm_provider": "x"}
    counted.count([row | {"llm_model": f"m{number}"} for number in range(9)])
    text = view.generate_latest(counted.registry).decode()
    assert 'venom_requests_total{model="other",provider="x",status="failed"} 7' in text
    assert "m2" not in text


def test_the_state_is_that_of_the_rows(scrape):
    up = RuntimeFactory(online=True, loaded_models=[{"name": "a"}, {"name": "b"}])
    down = RuntimeFactory(name="away", status="offline", node=up.node)
    AlertFactory()
    OperationFactory(running=True)
    now = timezone.now()
    for process in "12":
        GatewayPresence.objects.create(
            node=Node.objects.get(pk=up.node_id),
            process=process,
            in_flight={"ollama|a": 2, "ollama|b": 1},
            seen_at=now,
        )
    seen = scrape()
    node = ("node", up.node.name)
    assert seen["venom_runtime_up", node, ("runtime", up.name)] == 1
    assert seen["venom_runtime_up", node, ("runtime", down.name)] == 0
    assert seen["venom_models_loaded", node, ("runtime", up.name)] == 2
    assert seen["venom_requests_in_flight", ("runtime", "ollama")] == 6
    assert seen["venom_operations", ("status", "in_progress")] == 1
    assert seen["venom_operations", ("status", "pending")] == 0
    assert seen["venom_alerts_open", ("severity", "critical")] == 1


def test_a_gateway_that_is_gone_has_nothing_in_flight(scrape):
    runtime = RuntimeFactory(online=True)
    GatewayPresence.objects.create(
        node=runtime.node,
        process="1",
        in_flight={"ollama|a": 2},
        seen_at=timezone.now() - timezone.timedelta(minutes=1),
    )
    assert ("venom_requests_in_flight", ("runtime", "ollama")) not in scrape()


def test_it_needs_the_scope_read(client, api_client, page_client):
    assert client.get(URL).status_code == 401
    refused = api_client("inference").get(URL)
    assert refused.status_code == 403
    assert refused.json()["required_scope"] == "read"
    assert page_client("Viewer").get(URL).status_code == 200


def test_however_many_rows_it_asks_as_often(scrape, django_assert_max_num_queries):
    for number in range(5):
        RuntimeFactory(name=f"r{number}")
    scrape()
    with django_assert_max_num_queries(6):
        scrape()


def test_what_machines_and_servers_use_is_shown_and_the_unknown_is_left_out(scrape):
    began = timezone.now() - timezone.timedelta(seconds=90)
    known = {"memory_bytes": 3 << 30, "restarts": 2, "pid": 7}
    up = RuntimeFactory(online=True, process_started_at=began, **known)
    down = RuntimeFactory(name="away", status="offline", node=up.node)
    for seconds, percent in ((70, 10), (20, 40), (10, 60)):
        moment = timezone.now() - timezone.timedelta(seconds=seconds)
        machine(up.node, moment, percent=percent, gpus=[(5, 12)])

    seen = scrape()

    node = ("node", up.node.name)
    who, gone = (node, ("runtime", up.name)), (node, ("runtime", down.name))
    assert seen["venom_runtime_memory_bytes", *who] == 3 << 30
    assert ("venom_runtime_memory_bytes", *gone) not in seen
    assert ("venom_runtime_vram_bytes", *who) not in seen
    assert 89 < seen["venom_runtime_uptime_seconds", *who] < 1000
    assert seen["venom_runtime_restarts_total", *who] == 2
    assert seen["venom_machine_memory_used_bytes", node] == 60 << 30
    assert seen["venom_machine_cpu_percent", node] == 7
    gpu = (("gpu", "0"), ("name", "Practice"), node)
    assert seen["venom_gpu_memory_used_bytes", *gpu] == 5 << 30
    assert ("venom_gpu_power_watts", *gpu) not in seen


def test_an_old_sample_says_nothing_of_a_machine_now(scrape):
    node = RuntimeFactory().node
    machine(node, timezone.now() - timezone.timedelta(minutes=5))
    assert ("venom_machine_memory_used_bytes", ("node", node.name)) not in scrape()
