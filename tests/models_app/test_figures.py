"""Figures for memory are read from the config.json of real families of models."""

import pytest

from models_app.providers.figures import (
    figures_of_config,
    parameter_words,
    quantization_of,
)

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "rope_scaling": {
        "factor": 8.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}


def read(**changes):
    return figures_of_config({**LLAMA, **changes}, 16_060_522_496)


def test_a_plain_model_tells_layers_heads_lengths_and_context():
    figures = figures_of_config(LLAMA, 16_060_522_496, 8_030_261_248)
    assert (figures.layers, figures.kv_heads) == (32, (8,))
    assert (figures.key_length, figures.value_length) == (128, 128)
    assert figures.context_length == 131072  # llama3's scaling is in it already
    assert (figures.vocabulary, figures.dtype) == (128256, "bfloat16")
    assert figures.architecture == "LlamaForCausalLM"
    assert (figures.weights_bytes, figures.parameters) == (16060522496, 8030261248)
    assert (figures.window, figures.window_layers, figures.latent_length) == (0, 0, 0)


def test_heads_of_keys_are_those_of_attention_where_nothing_else_is_told():
    assert read(num_key_value_heads=None).kv_heads == (32,)


def test_a_head_may_have_a_length_of_its_own():
    assert read(head_dim=256).key_length == 256


def test_old_names_of_fields_are_read():
    gpt2 = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}
    figures = figures_of_config(gpt2, 1)
    assert (figures.layers, figures.kv_heads, figures.key_length) == (12, (12,), 64)
    assert figures.context_length == 1024


def test_one_head_for_all_queries():
    falcon = {"num_attention_heads": 71, "hidden_size": 4544, "multi_query": True}
    assert figures_of_config(falcon, 1).kv_heads == (1,)


def test_the_language_part_of_a_model_that_sees_counts():
    gemma3 = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {
            "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "sliding_window": 1024,
            "sliding_window_pattern": 6,
            "max_position_embeddings": 131072,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        },
        "vision_config": {"num_hidden_layers": 27},
        "dtype": "bfloat16",
    }
    figures = figures_of_config(gemma3, 1)
    assert (figures.layers, figures.kv_heads, figures.key_length) == (34, (4,), 256)
    assert (figures.window, figures.window_layers) == (1024, 29)  # every 6th sees all
    assert figures.context_length == 131072
    assert figures.architecture == "Gemma3ForConditionalGeneration"
    assert figures.dtype == "bfloat16"


def test_a_language_part_within_a_part_is_found():
    omni = {"thinker_config": {"text_config": {"num_hidden_layers": 28}}}
    assert figures_of_config(omni, 1).layers == 28


def test_layers_named_one_by_one_say_which_slide():
    kinds = ["sliding_attention", "full_attention"] * 16
    figures = read(sliding_window=4096, layer_types=kinds)
    assert (figures.window, figures.window_layers) == (4096, 16)
    assert figures.kv_heads == (8,)


@pytest.mark.parametrize(
    ("changes", "window", "layers"),
    [
        ({"sliding_window": 4096}, 4096, 32),  # Mistral 7B 0.1
        ({"sliding_window": 4096, "use_sliding_window": False}, 0, 0),  # Qwen 2.5
        (
            {
                "sliding_window": 4096,
                "use_sliding_window": True,
                "max_window_layers": 28,
            },
            4096,
            4,
        ),
        ({"sliding_window": 4096, "model_type": "gemma2"}, 4096, 16),
        ({"sliding_window": None}, 0, 0),
    ],
)
def test_windows_of_families(changes, window, layers):
    figures = read(**changes)
    assert (figures.window, figures.window_layers) == (window, layers)


def test_latent_attention_keeps_one_vector_a_layer():
    figures = read(
        kv_lora_rank=512, qk_rope_head_dim=64, v_head_dim=128, num_key_value_heads=128
    )
    assert (figures.latent_length, figures.value_length) == (576, 128)


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_types": ["linear_attention"] * 3 + ["full_attention"]},
        {"layer_types": ["mamba"] * 3 + ["attention"]},
        {"layers_block_type": ["mamba"] * 3 + ["attention"]},
        {"full_attention_interval": 4},
        {"attn_layer_period": 4, "attn_layer_offset": 3},
        {"hybrid_override_pattern": "M-M*"},
    ],
)
def test_layers_without_a_cache_count_no_heads(changes):
    assert read(num_hidden_layers=4, **changes).kv_heads == (0, 0, 0, 8)


def test_a_model_without_attention_keeps_nothing():
    assert read(model_type="mamba2", num_hidden_layers=2).kv_heads == (0, 0)


def test_heads_may_be_told_per_layer():
    assert read(num_kv_heads=[2, 4, 4], num_key_value_heads=None).kv_heads == (2, 4, 4)


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        (
            {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            131072,
        ),
        ({"rope_type": "linear", "factor": 2}, 262144),
        ({"rope_type": "longrope", "factor": 32}, 131072),
        ({"rope_type": "yarn", "factor": "many"}, 131072),
        ("nonsense", 131072),
    ],
)
def test_scaled_positions_lengthen_the_context_as_vllm_does(scaling, context):
    assert read(rope_scaling=scaling).context_length == context


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quant_method": "awq", "bits": 4}, "AWQ 4-bit"),
        ({"quant_method": "fp8"}, "FP8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes 4-bit"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": 7}, ""),
        ("awq", ""),
        (None, ""),
    ],
)
def test_quantization_in_words(settings, words):
    assert quantization_of({"quantization_config": settings}) == words
    assert read(quantization_config=settings).quantization == words


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_hidden_layers": "many", "hidden_size": -1, "num_attention_heads": 0},
        {"text_config": [], "architectures": "x", "layer_types": 5, "dtype": 16},
        {"num_key_value_heads": ["a"], "num_hidden_layers": True, "vocab_size": 1e30},
        {"hidden_size": 10**30, "num_attention_heads": 10**12, "rope_scaling": [1]},
        {"architectures": [], "hybrid_override_pattern": 5, "sliding_window": "1024"},
    ],
)
def test_nonsense_is_no_figure_and_no_error(config):
    figures = figures_of_config(config, 5)
    assert (figures.weights_bytes, figures.layers, figures.kv_heads) == (5, 0, ())
    assert figures.context_length is None


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (8_030_261_248, "8.0B"),
        (494_032_768, "494M"),
        (999_885_952, "1.0B"),
        (671_026_419_200, "671.0B"),
        (1_026_408_232_448, "1.0T"),
        (110_000, "110K"),
        (12, "12"),
        (0, ""),
        (None, ""),
    ],
)
def test_numbers_of_parameters_in_words(count, words):
    assert parameter_words(count) == words
