"""Words and hints of the catalogue's search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models_app.services.catalog_words import (
    Words,
    estimated_size,
    read_words,
    size_of,
    smallest_label,
)
from tests.models_app.shelves import GEMMA, LLAMA, QWEN, SMOL

GB = 10**9


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", Words()),
        ("  gemma   3 ", Words(text="gemma 3")),
        ("qwen3:4b", Words(text="qwen3:4b")),
        ("colour:green", Words(text="colour:green")),
        ("fits:yes", Words(fits=True)),
        ("Fits:NO x", Words(fits=False, text="x")),
        ("runtime:vLLM", Words(runtime="vllm")),
        ("licence:Apache", Words(licence="apache")),
        ("license:mit", Words(licence="mit")),
        ("author:Qwen", Words(author="Qwen")),
        ("size:<5GB", Words(at_most=5 * GB - 1)),
        ("size:<=5gb", Words(at_most=5 * GB)),
        ("size:5", Words(at_most=5 * GB)),
        ("size:=5", Words(at_most=5 * GB)),
        ("size:>1.5GB", Words(at_least=1_500_000_001)),
        ("size:>=0,5TB", Words(at_least=500 * GB)),
        ("size:<500MB", Words(at_most=499_999_999)),
        ("size:>1GB size:<5GB", Words(at_least=GB + 1, at_most=5 * GB - 1)),
        ("fits:no fits:yes", Words(fits=True)),
        (
            "gemma fits:yes runtime:ollama licence:apache size:<5GB it",
            Words(
                text="gemma it",
                fits=True,
                runtime="ollama",
                licence="apache",
                at_most=5 * GB - 1,
            ),
        ),
    ],
)
def test_words_and_hints_are_told_apart(typed, words):
    assert read_words(typed) == words


@pytest.mark.parametrize(
    "hint",
    [
        *("fits:", "fits:maybe", "runtime:cuda", "runtime:", "licence:", "author:"),
        *("size:", "size:big", "size:<", "size:-1", "size:5PB", "size:1e9", "size:<>5"),
        "size:" + "9" * 50,
    ],
)
def test_a_hint_that_makes_no_sense_is_told_and_not_searched_for(hint):
    words = read_words(f"gemma {hint}")

    assert words == Words(text="gemma", wrong=(hint,))
    assert not words.narrows


def test_a_runtime_means_the_source_that_delivers_to_it():
    assert read_words("runtime:ollama").wants("ollama")
    assert not read_words("runtime:ollama").wants("huggingface")
    assert read_words("runtime:vllm").wants("huggingface")
    assert read_words("").wants("ollama")


def test_a_licence_matches_by_a_part_of_it():
    assert read_words("licence:APACHE").accepts(QWEN)
    assert not read_words("licence:apache").accepts(GEMMA)
    assert not read_words("licence:apache").accepts(replace(QWEN, license=""))


def test_a_size_is_that_of_the_smallest_variant():
    assert read_words("size:<1GB").accepts(SMOL)
    assert not read_words("size:>1GB").accepts(SMOL)
    assert read_words("size:>6GB size:<7GB").accepts(LLAMA)
    assert read_words("size:<1GB").accepts(QWEN)
    assert not read_words("size:<1GB").accepts(GEMMA)


def test_what_has_no_size_is_not_found_by_one():
    unknown = replace(QWEN, sizes=())

    assert read_words("").accepts(unknown)
    assert not read_words("size:<100GB").accepts(unknown)
    assert not read_words("size:>0GB").accepts(unknown)


@pytest.mark.parametrize(
    ("label", "real"),
    [
        ("0.6b", 0.523 * GB),
        ("4b", 2.5 * GB),
        ("8b", 5.2 * GB),
        ("27b", 17.4 * GB),
        ("70b", 42.5 * GB),
        ("270m", 0.29 * GB),
        ("8x7b", 26 * GB),
    ],
)
def test_an_estimate_is_near_what_the_library_really_holds(label, real):
    assert real * 0.7 < estimated_size(label) < real * 1.5


@pytest.mark.parametrize("label", ["", "latest", "e4b", "4b-it", "b", "x7b"])
def test_a_label_that_names_no_parameters_has_no_size(label):
    assert estimated_size(label) is None


def test_the_smallest_variant_has_a_name():
    assert smallest_label(QWEN) == "0.6b"
    assert smallest_label(replace(QWEN, sizes=("70b", "latest", "8b"))) == "8b"
    assert smallest_label(SMOL) == ""
    assert size_of(replace(QWEN, sizes=("latest",))) is None
