"""Details whose source is the practice Hugging Face Hub, from page and API to wire."""

from __future__ import annotations

import pytest

from models_app.providers import catalogues
from tests.fakes.nvml import PracticeGpu

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

URL = "/api/v1/models/details"
PART = {"HX-Request": "true", "HX-Target": "model-details"}
TINY, GATED, PACKED = (
    "practice/tiny-llama",
    "practice/tiny-gated",
    "practice/tiny-GGUF",
)


@pytest.fixture(autouse=True)
def hub(practice_hub, environment, gpus):
    gpus(PracticeGpu(used=0, total=12 << 30))
    environment(HF_ENDPOINT=practice_hub.url, VENOM_RUNTIME_PROFILE="full")
    yield practice_hub
    catalogues.close_all()


def ask(client, name):
    return client.get(URL, {"provider": "huggingface", "name": name}).json()


def test_a_model_of_the_hub_is_judged_from_its_own_config(api_client):
    body = ask(api_client("read"), TINY)

    [variant] = body["variants"]
    assert len(body["revision"]) == 40
    assert (variant["runtime"], variant["name"]) == ("vllm", TINY)
    assert variant["size_bytes"] > 0
    assert variant["size_exact"] is True
    fit = variant["fit"]
    assert (fit["verdict"], fit["rough"], fit["place"]) == ("fits", False, "gpu")
    assert fit["context"] == variant["context_length"]
    assert body["gated"]["state"] == "open"
    assert body["card"]


def test_a_gated_model_says_so_on_its_page(page_client):
    part = page_client("Operator").get(f"/models/huggingface/{GATED}/", headers=PART)
    assert "accept the licence at" in part.text
    assert "gated: the token is missing" in part.text
    assert "/models/install/?" not in part.text


def test_what_only_ollama_could_load_has_its_reason(page_client, api_client):
    [variant] = ask(api_client("read"), PACKED)["variants"]
    assert variant["complaint"]
    assert variant["fit"] is None
    page = page_client("Operator").get(f"/models/huggingface/{PACKED}/?ask=1").text
    assert variant["complaint"][:30] in page


def test_a_private_model_is_404_with_a_sentence(api_client):
    client = api_client("read")
    query = {"provider": "huggingface", "name": "practice/nothing"}
    answer = client.get(URL, query)
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert "Check the name" in answer.json()["detail"]
