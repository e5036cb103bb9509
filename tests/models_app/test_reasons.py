"""Why something cannot be used is kept as a code and said in the reader's language."""

from __future__ import annotations

import json
import string
from dataclasses import asdict, replace

import pytest
from django.utils.functional import Promise
from django.utils.translation import override

from models_app import reasons
from models_app.providers.catalogue import Details, Listed, Variant
from models_app.reasons import NO_REASON, because, read_stored, read_told, said
from models_app.services import catalog_shapes
from tests.factories import InstalledModelFactory

LACKING = because("files_missing", number=1, files=2, first="model.safetensors")


@pytest.fixture
def backwards(monkeypatch):
    """A language that says «files_missing» the other way round."""

    class Words(Promise):
        def __str__(self):
            return "%(first)s: %(number)s/%(files)s fehlen."

    monkeypatch.setitem(reasons.TEXTS, "files_missing", Words())


def test_a_reason_is_english_by_default_and_false_where_there_is_none():
    assert str(LACKING) == (
        "1 of 2 files are missing, the first is model.safetensors. Install the model "
        "again, or remove it."
    )
    assert (bool(LACKING), bool(NO_REASON), str(NO_REASON)) == (True, False, "")
    assert said("") == NO_REASON


def test_what_is_stored_is_the_code_and_its_values_not_the_words(backwards):
    stored = LACKING.stored()

    assert "missing, the first" not in stored
    assert read_stored(stored) == LACKING
    assert str(read_stored(stored)) == "model.safetensors: 1/2 fehlen."


@pytest.mark.parametrize(
    "text",
    [
        "Torn.",
        "adapter",
        "files_missing of them",
        "files_missing {",
        'files_missing {"number":1}',
        "files_missing [1]",
        "no_such_code {}",
    ],
)
def test_what_somebody_else_wrote_stays_as_it_is(text):
    assert str(read_stored(text)) == text
    assert read_stored(text).stored() == text


def test_a_row_says_what_is_wrong_and_a_long_path_fits_into_it():
    long = because("files_missing", number=1, files=2, first="x" * 4000)
    model = InstalledModelFactory.build(error=long.stored())

    assert len(model.error) <= 500
    assert model.reason == long


def test_a_kept_variant_keeps_its_reason_and_reads_that_of_an_earlier_release():
    lacking = because("shard_missing", file="a-00002-of-00003")
    listed = Listed(provider="huggingface", name="a/b", display_name="b")
    variant = Variant(name="a/b", label="b", size_bytes=1, complaint=lacking)
    details = Details(listed=listed, variants=(variant, replace(variant, name="c")))
    kept = json.loads(json.dumps(catalog_shapes.details_payload(details)))
    kept["details"]["variants"][1]["complaint"] = "It is made for others."

    first, second = catalog_shapes.details_of(kept).variants

    assert first.complaint == lacking
    assert str(second.complaint) == "It is made for others."


def test_a_kept_reason_of_another_release_costs_its_words_alone():
    with pytest.raises(ValueError, match="no reason"):
        read_told({"code": "from_the_future", "values": {}})
    listed = Listed(provider="huggingface", name="a/b", display_name="b")
    variant = Variant(name="a/b", label="b", size_bytes=1, complaint=LACKING)
    kept = catalog_shapes.details_payload(Details(listed=listed, variants=(variant,)))
    kept["details"]["variants"][0]["complaint"] = {"code": "later", "values": []}

    [read] = catalog_shapes.details_of(kept).variants

    assert read.complaint  # it still cannot be installed
    assert str(read.complaint) == "later"


def test_every_sentence_has_plain_places_and_can_be_translated():
    for code, words in reasons.TEXTS.items():
        with override("de"):
            text = str(words)
        places = {"number", "files", "parts", "first", "file", "folder", "name"}
        places |= {"most", "megabytes", "words", "said", "source", "endpoint"}
        places |= {"page", "seconds"}
        filled = text % dict.fromkeys(places, 1)
        assert filled.strip(string.whitespace), code
        assert code == reasons.SAID or isinstance(words, Promise)


def test_plain_fields_are_what_json_takes():
    assert read_told(json.loads(json.dumps(asdict(LACKING)))) == LACKING


@pytest.mark.django_db
def test_pages_show_the_sentence_and_never_the_code(page_client, settings):
    settings.RUNTIME_PROFILE = "full"
    model = InstalledModelFactory(
        name="org/model",
        provider="huggingface",
        status="broken",
        error=LACKING.stored(),
    )
    reader = page_client("Viewer")

    for address in ("/models/", model.get_absolute_url()):
        page = reader.get(address).text
        assert "1 of 2 files are missing, the first is model.safetensors" in page
        assert "files_missing" not in page
