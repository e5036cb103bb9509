"""The fit on pages: a column of the list, a filter, the card of a model."""

from __future__ import annotations

import re

import pytest

from models_app.models import InstalledModel
from models_app.providers.figures import ModelFigures
from models_app.services.figures import stored
from models_app.services.fit import Fit
from models_app.templatetags.fit_atoms import context_text, fit_badge, fit_words
from tests.factories import InstalledModelFactory, RuntimeFactory
from tests.fakes.nvml import PracticeGpu

pytestmark = pytest.mark.django_db

GIB = 1 << 30
GB = 10**9
LLAMA = ModelFigures(
    weights_bytes=4_920_000_000,
    layers=32,
    kv_heads=(8,),
    key_length=128,
    value_length=128,
    context_length=131_072,
)


@pytest.fixture
def rtx(gpus):
    """A GPU of 12 GiB with 10 free."""
    return gpus(PracticeGpu(used=2 * GIB, total=12 * GIB))


@pytest.fixture(autouse=True)
def small_context(settings):
    settings.ENV = settings.ENV.model_copy(
        update={
            "OLLAMA_CONTEXT_LENGTH": 8192,
            "OLLAMA_NUM_PARALLEL": 1,
            "OLLAMA_KV_CACHE_TYPE": "f16",
        }
    )


def install(name="llama3.1:8b", **given):
    told = {"figures": stored(LLAMA), "size_bytes": 4_920_000_000}
    return InstalledModelFactory(name=name, **(told | given))


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def badge(**given):
    told = {"needed_bytes": 6 * GIB, "available_bytes": 10 * GIB, "place": "gpu"}
    return fit_words(Fit(**(told | given)))


@pytest.mark.parametrize(
    ("fit", "tone", "text"),
    [
        ({"verdict": "fits"}, "ok", "Fits · 4.0 GiB free"),
        ({"verdict": "tight", "longest_context": 8192}, "warn", "Tight · 8k context"),
        ({"verdict": "partial"}, "warn", "Partly on the GPU"),
        (
            {"verdict": "too_big", "available_bytes": 4 * GIB},
            "bad",
            "Too big · +2.0 GiB",
        ),
        (
            {"verdict": "too_big", "available_bytes": 4 * GIB, "is_busy": True},
            "bad",
            "No room now · +2.0 GiB",
        ),
        ({"verdict": "unknown"}, "", "Not known"),
    ],
)
def test_a_badge_is_a_word_and_a_number(fit, tone, text):
    words = badge(**fit)
    assert (words.tone, words.text) == (tone, text)


def test_a_cloud_s_model_runs_there():
    assert fit_words(None).text == "Runs in cloud"


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        ({"context": 8192}, "estimated: 6.0 GiB of 10.0 GiB at 8\u202f192 tokens"),
        ({"context": 8192, "is_measured": True}, "measured here: 6.0 GiB"),
        ({"is_rough": True}, "guessed from its size alone"),
        ({"place": "memory"}, "in memory, without a GPU"),
    ],
)
def test_the_title_says_how_the_number_is_known(fit, words):
    assert words in badge(verdict="fits", **fit).title


def test_the_bar_stays_within_its_frame():
    words = badge(verdict="too_big", available_bytes=1, weights_bytes=5 * GIB)
    assert (words.weights, words.both) == (100, 100)
    html = fit_badge(Fit(verdict="fits"))
    assert "style=" not in html


def test_a_full_disk_is_said_beside_the_memory():
    fit = Fit(verdict="fits", needed_bytes=1, available_bytes=2, store_ok=False)
    html = fit_badge(fit)
    assert "no room on the disk" in html


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (None, "–"),
        (512, "512"),
        (8192, "8k"),
        (131_072, "128k"),
        (40_960, "40k"),
        (1 << 20, "1M"),
    ],
)
def test_lengths_have_their_usual_names(tokens, text):
    assert context_text(tokens) == text


def test_the_list_says_how_each_model_fits(page_client, rtx):
    install()
    install("big:70b", size_bytes=40 * GB, figures={})
    install("cloud:1b", is_remote=True)

    page = text_of(page_client("Viewer").get("/models/").text)

    assert "Fit on this GPU" in page
    assert "Fits · 2.9 GiB free" in page
    assert "Runs in cloud" in page
    assert re.search(r"Too big · \+|Partly on the GPU|No room now", page)


def test_without_a_gpu_the_column_is_about_memory(page_client, gpus):
    gpus()
    install(size_bytes=1 * GB, figures={})
    assert "Fit in memory" in page_client("Viewer").get("/models/").text


def test_only_what_fits_is_a_filter_and_a_chip(page_client, rtx):
    install()
    install("big:70b", size_bytes=400 * GB, figures={})

    page = page_client("Viewer").get("/models/?fits=1").text

    assert "llama3.1:8b</a>" in page
    assert "big:70b</a>" not in page
    assert "Remove the filter Fits this machine" in page
    assert 'id="filter-fits" value="1" checked' in page


def test_the_list_takes_twelve_queries_with_a_gpu_and_the_filter(
    page_client, rtx, django_assert_max_num_queries
):
    node = install().node
    rows = [
        InstalledModelFactory.build(node=node, figures=stored(LLAMA))
        for _ in range(300)
    ]
    InstalledModel.objects.bulk_create(rows)
    RuntimeFactory(online=True, node=node)
    client = page_client("Operator")
    client.get("/models/")

    with django_assert_max_num_queries(12):
        client.get("/models/")
    with django_assert_max_num_queries(13):
        client.get("/models/?fits=1")


def test_hardware_is_read_once_for_a_page(page_client, rtx):
    for number in range(20):
        install(f"g{number}:1b")
    rtx.counted = 0
    page_client("Viewer").get("/models/")
    assert rtx.counted <= 1


def test_a_model_s_page_keeps_estimate_and_measure_apart(page_client, rtx):
    install(measured_bytes=int(5.1 * GIB), measured_context=8192)

    page = text_of(page_client("Viewer").get("/models/ollama/llama3.1:8b/").text)

    assert "estimated 6.6 GiB, measured 5.1 GiB here" in page
    assert "8k 5.1 GiB · measured fits" in page
    assert "Fits up to 43k tokens." in page


def test_a_model_that_was_never_loaded_says_so(page_client, rtx):
    install()
    page = text_of(page_client("Viewer").get("/models/ollama/llama3.1:8b/").text)
    assert "estimated 6.6 GiB, never measured here · 8k context" in page
    assert "4k 6.1 GiB fits" in page
    assert re.search(r"128k 21\.\d GiB of 9\.5 GiB", page)


def test_a_model_nobody_knows_anything_about_has_no_lengths(page_client, rtx):
    install(figures={}, size_bytes=None)
    page = page_client("Viewer").get("/models/ollama/llama3.1:8b/").text
    assert "Not known" in page
    assert "Fits up to" not in page


def test_files_stand_with_size_and_hash(page_client, rtx):
    files = [
        {"path": "model.safetensors", "size_bytes": 5 * GB, "sha256": "ab" * 32},
        {"path": "<config>.json", "size_bytes": 700, "git_sha1": "cd" * 20},
    ]
    install(files=files)
    page = page_client("Viewer").get("/models/ollama/llama3.1:8b/").text
    assert "sha256 abababababab" in page
    assert f'data-copy="{"ab" * 32}"' in page
    assert "git cdcdcdcdcdcd" in page
    assert "&lt;config&gt;.json" in page
