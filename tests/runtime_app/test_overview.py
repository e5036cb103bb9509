"""The first page: is anything wrong, what runs, what changed, what to do first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pydantic import SecretStr

from runtime_app.models import Activation
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory
from tests.fakes.nvml import PracticeGpu

pytestmark = pytest.mark.django_db

GIB = 1 << 30


@pytest.fixture
def look(page_client):
    def open_page(group: str = "Operator") -> str:
        answer = page_client(group).get("/")
        assert answer.status_code == 200
        return answer.content.decode()

    return open_page


@pytest.fixture
def empty(settings):
    settings.RUNTIME_PROFILE = "light"
    return RuntimeFactory(online=True, served_models=[])


def test_an_empty_machine_is_offered_the_model_that_fits_as_a_button(empty, look):
    page = look()
    assert "Install the first model" in page
    assert 'href="/models/install/?name=gemma3%3A' in page
    assert "fits this machine" in page


def test_a_viewer_reads_the_offer_without_the_button(empty, look):
    page = look("Viewer")
    assert "fits this machine" in page
    assert "/models/install/?name=" not in page


def test_where_nothing_fits_the_page_says_why(empty, look, settings):
    settings.ENV = settings.ENV.model_copy(update={"MODELS_MAX_DISK_GB": 0.1})
    page = look()
    assert "MODELS_MAX_DISK_GB leaves 100 MB" in page
    assert "/models/install/?name=" not in page


@pytest.mark.parametrize("there", ["served", "installed", "coming", "offline"])
def test_nothing_is_offered_where_it_makes_no_sense(empty, look, there):
    if there == "served":
        empty.served_models = [{"name": "phi3:mini"}]
    elif there == "installed":
        InstalledModelFactory(node=empty.node)
    elif there == "coming":
        params = {"reserved_bytes": 3_000_000_000}
        OperationFactory(operation_type="install", node=empty.node, params=params)
    else:
        empty.status = "offline"
    empty.save()
    assert "Install the first model" not in look()


def test_without_local_models_a_cloud_key_is_asked_for_by_name(look, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    page = look()
    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "VENOM_RUNTIME_PROFILE=light"):
        assert name in page
    assert "/models/install/?name=" not in page


def test_a_cloud_key_that_is_there_is_not_asked_for_nor_shown(look, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    key = {"GOOGLE_API_KEY": SecretStr("AIza-practice")}
    settings.ENV = settings.ENV.model_copy(update=key)
    page = look()
    assert "Add a cloud key" not in page
    assert "AIza-practice" not in page


def test_what_is_in_memory_is_said_in_the_small_card(look):
    leaves = (timezone.now() + timedelta(seconds=100)).isoformat()
    RuntimeFactory(
        online=True,
        loaded_models=[
            {
                "name": "gemma3:4b",
                "size_bytes": 5 * GIB,
                "size_vram_bytes": 0,
                "expires_at": leaves,
            }
        ],
    )
    page = look()
    assert "5.0 GiB, without a GPU" in page
    assert "data-until=" in page


def test_disk_quota_and_memory_have_words_beside_their_bars(look):
    RuntimeFactory(online=True)
    InstalledModelFactory(size_bytes=8_000_000_000)
    page = look()
    assert "8.0 GB of 50.0 GB" in page
    for label in ("Models", "Disk", "Memory"):
        assert f"<span>{label}</span>" in page


def test_what_is_on_its_way_counts_into_the_quota(look):
    params = {"reserved_bytes": 3_000_000_000}
    OperationFactory(operation_type="install", params=params)
    assert "3.0 GB on its way" in look()


def test_a_machine_without_a_gpu_says_so(look, gpus):
    gpus()
    assert "No GPU is seen here" in look()


def test_each_gpu_has_its_meter(look, gpus):
    gpus(
        PracticeGpu("RTX 3060", used=11 * GIB, total=12 * GIB, busy=42),
        PracticeGpu("<b>odd", used=1 * GIB, total=24 * GIB, busy=None),
    )
    page = look()
    assert "GPU 0, RTX 3060" in page
    assert "11.0 GiB of 12.0 GiB, 42 % busy · nearly full" in page
    assert "1.0 GiB of 24.0 GiB" in page
    assert "<b>odd" not in page


def test_a_machine_with_a_gpu_is_offered_a_model_for_it(empty, look, gpus):
    gpus(PracticeGpu(used=0, total=12 * GIB))
    assert "/models/install/?name=gemma3%3A12b" in look()


def test_the_last_changes_are_listed_newest_first(look):
    OperationFactory(completed=True, operation_type="remove", model_name="old:1b")
    OperationFactory(failed=True, operation_type="install", model_name="new:1b")
    page = look()
    changes = page[page.index("Last changes") :]
    assert changes.index("Install new:1b") < changes.index("Remove old:1b")
    assert "Failed" in changes


def test_nothing_changed_yet_needs_no_box(look):
    assert "Last changes" not in look()


def test_the_overview_asks_at_most_eighteen_times(
    look, page_client, django_assert_max_num_queries
):
    runtime = RuntimeFactory(online=True, loaded_models=[{"name": "gemma3:4b"}])
    RuntimeFactory(name="shed", kind="openai_compatible", online=True)
    InstalledModelFactory.create_batch(3, node=runtime.node)
    OperationFactory.create_batch(3, running=True)
    OperationFactory.create_batch(3, completed=True)
    Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name="gemma3:4b",
        served_name="gemma3:4b",
        state="active",
    )
    client = page_client("Operator")
    client.get("/")
    with django_assert_max_num_queries(18):
        client.get("/")


def test_an_empty_overview_asks_no_more_often(
    empty, page_client, django_assert_max_num_queries
):
    client = page_client("Operator")
    client.get("/")
    with django_assert_max_num_queries(18):
        client.get("/")
