"""What memory is computed from, read out of GGUF keys as files and Ollama have them."""

from __future__ import annotations

import pytest

from models_app.providers.gguf_figures import figures_of_gguf, figures_of_keys
from models_app.services.fit import kv_bytes
from tests.fakes.gguf import LLAMA, gguf_bytes
from venom_site.clients.gguf import header_of

KIB = 1 << 10


def keys(architecture="llama", **given):
    """The keys of a file; `attention__head_count` becomes `llama.attention.…`."""
    told = {
        "general.architecture": architecture,
        "general.parameter_count": 8_030_261_312,
    }
    shape = {
        "block_count": 32,
        "context_length": 131_072,
        "embedding_length": 4096,
        "attention__head_count": 32,
        "attention__head_count_kv": 8,
    }
    for name, value in (shape | given).items():
        told[f"{architecture}.{name.replace('__', '.')}"] = value
    return {name: value for name, value in told.items() if value is not None}


def per_token(told):
    return kv_bytes(figures_of_keys(told), 1)


def test_a_plain_model_is_read_from_its_keys():
    found = figures_of_keys(keys(), size_bytes=4_920_000_000)

    assert (found.weights_bytes, found.parameters) == (4_920_000_000, 8_030_261_312)
    assert (found.layers, found.kv_heads) == (32, (8,))
    assert (found.key_length, found.value_length) == (128, 128)
    assert (found.context_length, found.architecture) == (131_072, "llama")
    assert per_token(keys()) == 128 * KIB


def test_a_header_gives_the_same_and_counts_for_itself():
    held = gguf_bytes(LLAMA, [("t", (64, 2000), 12)])
    found = figures_of_gguf(header_of(held), 1_000_000)

    assert (found.layers, found.kv_heads, found.key_length) == (2, (2,), 16)
    assert (found.parameters, found.vocabulary) == (128_000, 2000)
    assert (found.quantization, found.context_length) == ("Q4_K_M", 8192)


def test_lengths_that_are_told_win_over_those_that_follow():
    told = keys(attention__key_length=256, attention__value_length=64)
    found = figures_of_keys(told)
    assert (found.key_length, found.value_length) == (256, 64)


def test_without_kv_heads_every_head_has_its_own():
    assert figures_of_keys(keys(attention__head_count_kv=None)).kv_heads == (32,)


def test_heads_for_each_layer_are_kept():
    told = keys(block_count=3, attention__head_count_kv=[8, 0, 4])
    assert figures_of_keys(told).kv_heads == (8, 0, 4)


def test_a_list_that_ollama_leaves_out_is_not_told():
    """Without `verbose` /api/show prints arrays of more than five as []."""
    told = keys(attention__head_count_kv=[])
    assert figures_of_keys(told).kv_heads == ()
    assert per_token(told) is None


@pytest.mark.parametrize(
    ("architecture", "layers", "sliding"),
    [("gemma3", 34, 29), ("gemma2", 26, 13), ("gpt-oss", 24, 12), ("llama", 32, 0)],
)
def test_each_family_slides_over_its_own_layers(architecture, layers, sliding):
    told = keys(architecture, block_count=layers, attention__sliding_window=1024)
    found = figures_of_keys(told)
    assert (found.window, found.window_layers) == (1024, sliding)


@pytest.mark.parametrize(
    ("pattern", "sliding"), [(4, 6), ([True, True, True, False] * 2, 6), ([], 0)]
)
def test_a_pattern_that_is_told_counts(pattern, sliding):
    told = keys(
        "newone",
        block_count=8,
        attention__sliding_window=512,
        attention__sliding_window_pattern=pattern,
    )
    assert figures_of_keys(told).window_layers == sliding


def test_llama_4_attends_in_chunks_that_no_key_names():
    found = figures_of_keys(keys("llama4", block_count=48))
    assert (found.window, found.window_layers) == (8192, 36)


def test_layers_that_look_into_the_cache_of_others_have_none():
    """Gemma 3n: the last layers share; of the first 20 of 30 every fifth is full."""
    told = keys(
        "gemma3n",
        block_count=30,
        attention__shared_kv_layers=10,
        attention__sliding_window=512,
    )
    found = figures_of_keys(told)
    assert sum(1 for heads in found.kv_heads if heads) == 20
    assert found.window_layers == 16


def test_every_fourth_layer_of_a_hybrid_has_attention():
    told = keys("qwen3next", block_count=48, full_attention_interval=4)
    assert sum(figures_of_keys(told).kv_heads) == 12 * 8


def test_a_latent_cache_is_taken_where_the_file_has_it():
    shape = {
        "block_count": 61,
        "attention__head_count_kv": 1,
        "attention__kv_lora_rank": 512,
        "rope__dimension_count": 64,
    }
    new = keys("deepseek2", attention__key_length_mla=192, **shape)
    assert per_token(new) == 61 * 576 * 2
    assert figures_of_keys(keys("deepseek2", **shape)).latent_length == 0


@pytest.mark.parametrize(
    "nonsense", [-1, 2**70, "8", True, None, 3.5, {"a": 1}, ["x", None]]
)
@pytest.mark.parametrize(
    "name",
    [
        "block_count",
        "context_length",
        "embedding_length",
        "attention__head_count",
        "attention__head_count_kv",
        "attention__sliding_window_pattern",
        "attention__shared_kv_layers",
        "full_attention_interval",
    ],
)
def test_nonsense_counts_as_not_told(name, nonsense):
    found = figures_of_keys(keys(**{name: nonsense}))
    needed = kv_bytes(found, 8192)
    assert needed is None or 0 <= needed < 2**63


def test_no_keys_are_no_figures():
    found = figures_of_keys({})
    assert (found.layers, found.context_length, found.architecture) == (0, None, "")
