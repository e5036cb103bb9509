"""What a source refuses is kept as a code and said in the language of who reads it."""

from __future__ import annotations

import pytest
from django.utils.functional import Promise
from django.utils.translation import get_language, override

from models_app import reasons, tasks
from models_app.models import CatalogEntry, Operation
from models_app.providers.base import ModelNotFound
from models_app.providers.huggingface_words import hub_refusal
from models_app.providers.ollama_refusals import refusal, registry_refusal
from models_app.reasons import because, kept_words, read_stored
from models_app.services import install
from models_app.services.kept_answers import kept
from tests.models_app.hub_installs import TINY
from venom_site.clients.huggingface import HubRefused
from venom_site.lib.access import SYSTEM
from venom_site.lib.errors import WireError

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")

PAGE = "https://hub.example/a/b"


class German(Promise):
    """Another sentence for whoever reads German."""

    def __init__(self, english: str, german: str) -> None:
        self.english, self.german = english, german

    def __str__(self) -> str:
        return self.german if get_language() == "de" else self.english


@pytest.fixture
def german(monkeypatch):
    """german(code, sentence): as if the catalogue of texts had that."""

    def say(code: str, sentence: str) -> None:
        words = German(str(reasons.TEXTS[code]), sentence)
        monkeypatch.setitem(reasons.TEXTS, code, words)

    return say


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (HubRefused("No.", case="missing"), "missing_or_private", "add a token"),
        (HubRefused("No.", case="gated"), "gated_without_token", "accept the licence"),
        (HubRefused("No.", case="token"), "hub_token", "hub.example does not accept"),
        (HubRefused("No.", case="disabled"), "hub_disabled", PAGE),
        (HubRefused("No.", case="busy", wait_seconds=7), "source_busy", "wait 7 s"),
        (HubRefused("No.", case="revision"), "no_revision", "tree/main"),
        (
            WireError("Nothing answers at x.", reason_code="OFFLINE"),
            "source_offline",
            "",
        ),
        (WireError("x answered 500."), "said", "x answered 500."),
    ],
)
def test_each_refusal_of_the_hub_is_a_code_with_its_values(error, code, words):
    told = hub_refusal(error, "a/b", PAGE, has_token=False)

    assert told.message.code == code
    assert words in str(told)
    assert str(read_stored(told.stored())) == str(told)


@pytest.mark.parametrize(
    ("vendor", "code"),
    [
        ("write blob: no space left on device", "ollama_disk_full"),
        ("digest mismatch, file must be downloaded again", "ollama_mismatch"),
        ("pull model manifest: file does not exist", "ollama_missing"),
        ("dial tcp: no such host", "ollama_broke_off"),
        ("unauthorized: access denied", "ollama_denied"),
    ],
)
def test_what_ollama_says_stands_in_brackets_behind_our_words(vendor, code):
    told = refusal(WireError(vendor, permanent=True), "m:1b", "http://here")

    assert told.message.code == code
    assert str(told).endswith(f"({vendor}.)")
    assert read_stored(told.stored()) == told.message


def test_a_long_sentence_of_a_vendor_keeps_its_bracket_and_fits_into_a_row():
    told = registry_refusal(WireError("x" * 900), "m:1b", "registry")

    assert str(told).endswith("x.)")
    assert len(kept_words(told)) <= 500
    assert str(read_stored(kept_words(told))) == str(told)


def test_what_does_not_fit_into_a_row_is_kept_as_its_sentence():
    told = ModelNotFound(because("missing_or_private", name="n" * 190, page="p" * 200))

    assert kept_words(told, most=100) == str(told)


@pytest.mark.django_db
def test_a_kept_answer_says_why_it_is_old_in_the_readers_language(german):
    german("source_offline", "Bei %(source)s antwortet niemand.")

    def ask():
        error = WireError("Nothing answers at hub.", reason_code="OFFLINE")
        raise hub_refusal(error, "a/b", PAGE, has_token=False)

    first = kept("huggingface", "trending", ask)
    with override("de"):
        second = kept("huggingface", "trending", ask, wait=False)

    assert first.error == "Nothing answers at hub.example."
    assert second.error == "Bei hub.example antwortet niemand."
    assert CatalogEntry.objects.get().error.startswith("source_offline {")


@pytest.mark.django_db(transaction=True)
def test_a_failed_operation_is_said_in_the_readers_language(shop, german, page_client):
    german("missing_or_private", "Es gibt kein %(name)s: %(page)s.")
    operation = install.request_install("huggingface", TINY, actor=SYSTEM)
    shop.state.shelf.discard(TINY)
    tasks.run_install(str(operation.pk))
    reader = page_client("Viewer")

    row = Operation.objects.get()

    assert row.error.startswith(f"There is no {TINY}")
    assert (row.error_code, row.why) == ("model_not_found", row.error)
    with override("en"):  # what the page activates ends with it
        page = reader.get("/operations/", headers={"Accept-Language": "de"}).text
    assert f"Es gibt kein {TINY}" in page
    assert "missing_or_private" not in page
