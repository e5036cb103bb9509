"""One model of a catalogue: what the API tells of it, and its page here."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from models_app.models import CatalogEntry
from models_app.providers.base import CatalogueChanged, ProviderAway
from models_app.providers.catalogue import Access, Details, Variant
from models_app.providers.figures import ModelFigures
from models_app.reasons import said
from tests.factories import InstalledModelFactory
from tests.fakes.nvml import PracticeGpu
from tests.models_app import shelves

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.models_app.catalog_fixtures",)

URL = "/api/v1/models/details"
PART = {"HX-Request": "true", "HX-Target": "model-details"}
GIB = 1 << 30
GB = 10**9


def figures(size):
    return ModelFigures(
        weights_bytes=size,
        layers=32,
        kv_heads=(8,),
        key_length=128,
        value_length=128,
        context_length=40_960,
    )


def variant(label, size, **given):
    told = {"quantization": "Q4_K_M", "figures": figures(size) if size else None}
    return Variant(
        name=f"qwen3:{label}", label=label, size_bytes=size, **(told | given)
    )


VARIANTS = (
    variant("0.6b", GB // 2),
    variant("8b", 5 * GB, context_length=40_960, digest="ab" * 32),
    variant("32b", 20 * GB),
    variant("235b", 140 * GB),
    variant("mlx", 5 * GB, complaint=said("It is made for Apple machines.")),
)


@pytest.fixture(autouse=True)
def rtx(gpus):
    return gpus(PracticeGpu(used=0, total=12 * GIB))


@pytest.fixture
def told(monkeypatch):
    """told(access=…): what both shelves tell of their models in detail."""

    def tell(**given):
        def details(item):
            plain = Details(listed=item, variants=VARIANTS, card="# Hello\n\n**big**")
            return replace(plain, **given)

        monkeypatch.setattr(shelves, "details", details)

    tell()
    return tell


@pytest.fixture
def reader(api_client):
    return api_client("read")


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def ask(client, name="qwen3", provider="ollama", **more):
    query = {"provider": provider, "name": name} | more
    return client.get(URL, query)


# The API


def test_each_variant_says_its_bytes_and_whether_it_fits(reader, library, told):
    body = ask(reader).json()

    assert body["success"] is True
    by_label = {each["label"]: each for each in body["variants"]}
    assert by_label["8b"]["size_bytes"] == 5 * GB
    assert by_label["8b"]["size_gb"] == 5.0
    assert by_label["8b"]["fit"]["verdict"] == "fits"
    assert by_label["32b"]["fit"]["verdict"] in ("partial", "too_big")
    assert by_label["235b"]["fit"]["verdict"] == "too_big"
    assert by_label["235b"]["fit"]["store_ok"] is False
    assert by_label["mlx"]["fit"] is None
    assert by_label["mlx"]["complaint"] == "It is made for Apple machines."
    assert [each["label"] for each in body["variants"] if each["recommended"]] == ["8b"]


def test_licence_context_and_freshness_are_told(reader, library, told):
    body = ask(reader).json()

    assert (body["license"], body["name"]) == ("Apache-2.0", "qwen3")
    assert body["variants"][1]["context_length"] == 40_960
    assert body["gated"] == {
        "state": "open", "gate": None, "note": None, "next_step": None,
    }  # fmt: skip
    assert (body["stale"], body["error"]) == (False, None)
    assert body["fetched_at"].endswith("Z")
    assert body["card"].startswith("# Hello")


def test_a_tag_is_a_variant_of_its_name(reader, library, told):
    assert ask(reader, "qwen3:8b").json()["name"] == "qwen3"
    assert library.asked == ["details qwen3"]


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (Access.TOKEN_MISSING, "set HF_TOKEN"),
        (Access.LICENCE_MISSING, "accept its licence at the source"),
        (Access.DENIED, "Ask its owner"),
    ],
)
def test_a_gate_says_what_is_missing_and_what_to_do(
    reader, hub, told, settings, access, words
):
    settings.RUNTIME_PROFILE = "full"
    told(access=access, access_note="Gated repository.")

    body = ask(reader, "meta-llama/Llama-3.2-3B", "huggingface").json()

    assert body["gated"]["state"] == access.value
    assert body["gated"]["gate"] == "manual"
    assert words in body["gated"]["next_step"]


def test_gguf_files_of_hugging_face_run_on_ollama(reader, hub, told, settings):
    settings.RUNTIME_PROFILE = "full"
    plain = variant("main", 5 * GB, format="safetensors")
    packed = variant("Q4_K_M", 5 * GB, format="gguf")
    told(variants=(plain, packed))

    body = ask(reader, "meta-llama/Llama-3.2-3B", "hf").json()

    assert [each["runtime"] for each in body["variants"]] == ["vllm", "ollama"]


def test_what_is_installed_already_is_marked(reader, library, told):
    InstalledModelFactory(name="qwen3:8b")
    marks = [each["installed"] for each in ask(reader).json()["variants"]]
    assert marks == [False, True, False, False, False]


def test_a_kept_copy_is_not_asked_for_again_unless_refreshed(api_client, library, told):
    client = api_client("operate")
    for _ in range(3):
        assert ask(client).status_code == 200
    assert library.asked == ["details qwen3"]
    CatalogEntry.objects.update(asked_at=None)

    assert ask(client, refresh="true").status_code == 200
    assert library.asked == ["details qwen3"] * 2


def test_to_refresh_takes_more_than_reading(reader, library, told):
    answer = ask(reader, refresh="true")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_model_that_the_source_does_not_have_is_404(reader, library, told):
    answer = ask(reader, "nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (ProviderAway("Nobody answers."), "provider_unreachable"),
        (CatalogueChanged("It looks different."), "catalogue_changed"),
    ],
)
def test_a_source_in_trouble_without_a_copy_is_named(
    reader, library, told, trouble, code
):
    library.trouble = trouble
    answer = ask(reader)
    assert (answer.status_code, answer.json()["code"]) == (502, code)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"provider": "ollama"},
        {"name": "qwen3"},
        {"provider": "nobody", "name": "qwen3"},
        {"provider": "ollama", "name": "../etc/passwd"},
        {"provider": "ollama", "name": "a" * 300},
        {"provider": "ollama", "name": "a\0b"},
        {"provider": "ollama", "name": "qwen3", "refresh": "perhaps"},
        {"provider": "ollama", "name": "qwen3", "revision": "a b"},
    ],
)
def test_a_bad_question_is_400(reader, library, query):
    assert reader.get(URL, query).status_code == 400
    assert library.asked == []


def test_a_profile_without_models_has_no_details(reader, library, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    assert ask(reader).json()["code"] == "outside_profile"


# The page


def page(client, name="qwen3", provider="ollama", query="", **headers):
    return client.get(f"/models/{provider}/{name}/{query}", headers=headers)


def test_the_page_waits_for_nobody_and_asks_by_itself(page_client, library, told):
    answer = page(page_client("Operator"))

    assert answer.status_code == 200
    assert library.asked == []
    assert "has not been asked about qwen3 yet" in answer.text
    assert 'hx-get="/models/ollama/qwen3/" hx-trigger="load"' in answer.text
    assert "?ask=1" in answer.text


def test_the_part_shows_variants_with_fit_and_install(page_client, library, told):
    client = page_client("Operator")
    part = page(client, **PART)
    words = text_of(part.text)

    assert "<html" not in part.text
    assert "hx-trigger" not in part.text
    assert re.search(r"8b recommended Q4_K_M 5\.0 GB 40k Fits · \d\.\d GiB free", words)
    assert "235b Q4_K_M 140.0 GB" in words
    assert "no room on the disk" in words
    assert "It is made for Apple machines." in words
    assert "/models/install/?provider=ollama&amp;name=qwen3%3A8b" in part.text
    assert "qwen3%3Amlx" not in part.text


def test_the_kept_copy_is_shown_at_once(page_client, library, told):
    client = page_client("Viewer")
    page(client, **PART)

    answer = page(client)

    assert "Fits ·" in answer.text
    assert 'hx-trigger="load"' not in answer.text
    assert len(library.asked) == 1


def test_without_a_script_a_link_asks(page_client, library, told):
    answer = page(page_client("Viewer"), query="?ask=1")
    assert "<html" in answer.text
    assert "Apache-2.0" in answer.text
    assert "Install qwen3" not in answer.text, "a viewer installs nothing"


def test_a_card_of_strangers_is_made_safe(page_client, library, told):
    told(card="# Hi\n<script>alert(1)</script><img src=x onerror=alert(2)>\n\n**bold**")
    part = page(page_client("Viewer"), **PART).text
    assert "<strong>bold</strong>" in part
    assert "<script>alert" not in part
    assert "onerror" not in part


def test_a_gated_model_has_its_next_step_and_no_button(
    page_client, hub, told, settings
):
    settings.RUNTIME_PROFILE = "full"
    told(access=Access.LICENCE_MISSING)
    client = page_client("Operator")
    part = page(client, "meta-llama/Llama-3.2-3B", "huggingface", **PART).text

    assert "accept its licence at the source" in part
    assert "gated: the licence is not accepted" in part
    assert "/models/install/" not in part


def test_an_installed_variant_leads_to_its_page(page_client, library, told):
    InstalledModelFactory(name="qwen3:8b")
    part = page(page_client("Operator"), **PART).text
    assert 'class="installed" href="/models/ollama/qwen3:8b/"' in part


def test_a_model_the_source_does_not_have_is_404_once_it_said_so(
    page_client, library, told
):
    client = page_client("Operator")
    assert page(client, "none:1b").status_code == 200
    part = page(client, "none:1b", **PART)
    assert "model_not_found" in part.text
    assert page(client, "none:1b").status_code == 404
    assert page(client, "other:1b", query="?ask=1").status_code == 404


def test_a_source_that_is_away_is_named_and_can_be_tried_again(
    page_client, library, told
):
    library.trouble = ProviderAway("ollama.com does not answer.")
    client = page_client("Operator")
    part = page(client, **PART)
    assert part.status_code == 200
    assert "ollama.com does not answer." in part.text
    assert "Try again" in part.text


def test_an_open_page_of_a_model_that_has_gone_begins_anew(page_client, library):
    headers = {"HX-Request": "true", "HX-Target": "model-page"}
    answer = page(page_client("Operator"), **headers)
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")
    assert library.asked == []


def test_the_button_asks_again(page_client, library, told):
    client = page_client("Operator")
    page(client, **PART)
    CatalogEntry.objects.update(asked_at=None)
    form = {"provider": "ollama", "name": "qwen3"}

    plain = client.post("/models/details/refresh/", form)
    assert (plain.status_code, plain["Location"]) == (302, "/models/ollama/qwen3/")
    assert len(library.asked) == 2
    swapped = client.post("/models/details/refresh/", form, headers=PART)
    assert 'id="model-details"' in swapped.text
    assert "asked again at most every 10 s" in swapped.text
    again = client.post("/models/details/refresh/", form, follow=True)
    assert "asked again at most every 10 s" in again.text
    assert len(library.asked) == 2
    assert client.post("/models/details/refresh/", {}).status_code == 400


def test_viewers_have_no_button(page_client, library, told):
    client = page_client("Viewer")
    assert "Check again" not in page(client, **PART).text
    form = {"provider": "ollama", "name": "qwen3"}
    assert client.post("/models/details/refresh/", form).status_code == 403


def test_the_page_takes_few_queries(
    page_client, library, told, django_assert_max_num_queries
):
    client = page_client("Operator")
    page(client, **PART)
    with django_assert_max_num_queries(16):
        page(client)


def test_unfolded_variants_lead_to_the_page(page_client, library, told):
    query = {"provider": "ollama", "name": "qwen3"}
    part = page_client("Viewer").get("/models/catalog/variants/", query, headers=PART)
    assert '<a href="/models/ollama/qwen3/">Licence, memory' in part.text
