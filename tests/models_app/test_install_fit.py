"""The fit part of the install check: memory by context, licence, gate, variants."""

from __future__ import annotations

import re

import pytest

from models_app.providers.base import ProviderAway
from models_app.providers.catalogue import Access, Details, Variant
from models_app.providers.figures import ModelFigures
from models_app.reasons import said
from models_app.services.figures import stored
from models_app.services.install_fit import fit_panel
from tests.factories import InstalledModelFactory
from tests.fakes.nvml import PracticeGpu
from tests.models_app import shelves

pytestmark = pytest.mark.django_db
pytest_plugins = (
    "tests.fakes.fixtures",
    "tests.models_app.ollama_fixtures",
    "tests.models_app.catalog_fixtures",
)

PAGE = "/models/install/"
FIT = "/models/install/fit/"
GIB = 1 << 30
SIZE = 522_700_000


def figures(size):
    return ModelFigures(
        weights_bytes=size,
        layers=28,
        kv_heads=(8,),
        key_length=128,
        value_length=128,
        context_length=40_960,
    )


def variant(name, size, **given):
    told = {"label": name.partition(":")[2], "figures": figures(size)}
    return Variant(name=name, size_bytes=size, **(told | given))


@pytest.fixture
def library(library, monkeypatch):
    """The library tells of three variants of qwen3."""
    library.told = {
        "variants": (
            variant("qwen3:0.6b", SIZE),
            variant("qwen3:8b", 5_200_000_000),
            variant("qwen3:235b", 142_000_000_000),
            variant("qwen3:mlx", 5, complaint=said("Apple only.")),
        )
    }
    monkeypatch.setattr(
        shelves, "details", lambda item: Details(listed=item, **library.told)
    )
    return library


@pytest.fixture
def rtx(gpus):
    return gpus(PracticeGpu(used=0, total=12 * GIB))


@pytest.fixture
def operator(page_client, ollama, rtx):
    return page_client("Operator")


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def ask(client, name="qwen3:0.6b", **more):
    return client.get(FIT, {"provider": "ollama", "name": name} | more)


def test_the_check_shows_a_guess_at_once_and_asks_for_the_rest(operator, library):
    page = operator.get(f"{PAGE}?name=qwen3:0.6b").text

    assert library.asked == []
    assert re.search(r"GPU: about 1\.\d GiB of 11\.4 GiB\.", text_of(page))
    assert "Guessed from its size, never measured here." in page
    assert 'hx-get="/models/install/fit/?provider=ollama&amp;name=qwen3%3A0.6b' in page
    assert re.search(r"&amp;size=52\d{7}\"", page), "no thousands separators"
    assert "Install 52" in page


def test_the_part_knows_the_layers_the_licence_and_the_variants(operator, library):
    part = ask(operator)
    words = text_of(part.text)

    assert "Estimated, never measured here." in words
    assert re.search(r"at 32.768 tokens of context", words)
    assert "Licence: Apache-2.0." in words
    assert 'aria-current="true">0.6b' in part.text
    assert "/models/install/?provider=ollama&amp;name=qwen3%3A8b" in part.text
    assert "Fits ·" in words
    assert "no room on the disk" in words
    assert "mlx" not in words
    assert "3 variants" in words
    assert 'hx-trigger="load"' not in part.text


def test_once_asked_the_check_shows_it_all_at_once(operator, library):
    ask(operator)
    page = operator.get(f"{PAGE}?name=qwen3:0.6b").text
    assert "Licence: Apache-2.0." in page
    assert "/models/install/fit/?" not in page.split('id="install-fit"')[1][:200]
    assert len(library.asked) == 1


def test_a_context_is_chosen_with_and_without_a_script(operator, library):
    ask(operator)
    part = text_of(ask(operator, context=4096).text)
    page = text_of(operator.get(f"{PAGE}?name=qwen3:0.6b&context=4096").text)
    for words in (part, page):
        assert re.search(r"at 4.096 tokens of context", words)
    assert '<option value="4096" selected>4k' in ask(operator, context=4096).text


def test_lengths_end_with_the_models_own(library, rtx):
    panel = fit_panel("ollama", "qwen3:0.6b", ask=True)
    assert panel.lengths == (4096, 8192, 16_384, 32_768)
    asked = fit_panel("ollama", "qwen3:0.6b", context=5000)
    assert 5000 in asked.lengths
    assert asked.context == 5000


@pytest.mark.parametrize("context", ["-1", "0", "many", "9" * 30])
def test_an_impossible_context_is_refused_by_the_part_and_ignored_by_the_page(
    operator, library, context
):
    assert ask(operator, context=context).status_code == 400
    page = operator.get(f"{PAGE}?name=qwen3:0.6b&context={context}")
    assert page.status_code == 200


def line(panel, name="memory"):
    return next(each for each in panel.lines if each.name == name)


@pytest.mark.parametrize(
    ("gib", "ram", "level", "words", "remedy"),
    [
        (12, 64, "ok", "at 32\u202f768 tokens", ""),
        (8, 64, "warn", "at 32\u202f768 tokens", "tokens fit."),
        (4, 64, "warn", "part of it runs in memory", "smaller variant"),
        (2, 1, "warn", "more than the", "Choose a smaller variant."),
    ],
)
def test_each_verdict_has_its_words(
    library, gpus, monkeypatch, gib, ram, level, words, remedy
):
    from models_app.services import machine as machines
    from venom_site.clients import hardware

    gpus(PracticeGpu(used=0, total=gib * GIB))
    filled = hardware.Filled(0, ram * GIB)
    seen = machines._Hardware(gpus=tuple(hardware.gpus()), memory=filled, held_bytes=0)
    monkeypatch.setattr(machines._hardware, "get", lambda: seen)

    found = line(fit_panel("ollama", "qwen3:8b", ask=True))

    assert found.level == level
    assert words in found.message
    assert remedy in found.remedy


def test_without_a_gpu_the_line_is_about_memory(library, gpus):
    gpus()
    found = line(fit_panel("ollama", "qwen3:0.6b", ask=True))
    assert found.message.startswith("Memory, since there is no GPU: about")


def test_what_was_measured_here_wins(library, rtx):
    InstalledModelFactory(
        name="qwen3:0.6b", measured_bytes=2 * GIB, measured_context=4096
    )
    found = line(fit_panel("ollama", "qwen3:0.6b", ask=True))
    assert "about 2.0 GiB" in found.message
    assert "Measured here." in found.message


def test_an_installed_model_needs_no_catalogue(rtx):
    InstalledModelFactory(name="qwen3:0.6b", figures=stored(figures(SIZE)))
    panel = fit_panel("ollama", "qwen3:0.6b")
    assert panel.found is None
    assert not panel.fit.is_rough


def test_nothing_known_is_said(rtx):
    found = line(fit_panel("ollama", "nobody:1b"))
    assert (found.level, found.message) == (
        "warn",
        "How much memory it needs is not known.",
    )


def test_a_missing_licence_and_a_gate_are_lines_of_the_check(library, rtx):
    library.items = [shelves.listed("ollama", "qwen3")]
    library.told |= {"access": Access.TOKEN_MISSING, "access_note": ""}
    panel = fit_panel("ollama", "qwen3:8b", ask=True)
    assert line(panel, "licence").message == "Its source names no licence."
    assert "set HF_TOKEN" in line(panel, "access").message


def test_a_source_that_is_away_costs_only_the_variants(operator, library):
    library.trouble = ProviderAway("Nobody answers.")
    part = ask(operator, size=SIZE)
    assert part.status_code == 200
    assert "Guessed from its size" in part.text
    assert "variants" not in text_of(part.text)


def test_a_model_the_library_does_not_have_costs_only_the_variants(operator, library):
    assert ask(operator, "nobody:1b", size=SIZE).status_code == 200


def test_without_a_name_it_is_400_and_viewers_are_refused(
    operator, page_client, library
):
    assert operator.get(FIT).status_code == 400
    assert ask(page_client("Viewer")).status_code == 403
