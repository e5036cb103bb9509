"""The numbers that memory is computed from, and how a `config.json` tells them.

Names of fields as transformers and vLLM 0.32 write and read them. What strangers wrote
is read leniently: a figure that is missing or absurd is 0 or None, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LARGEST = 10**9  # of any one figure; more is nonsense
MOST_LAYERS = 10_000
# Where models that also see or hear keep the figures of their language part.
LANGUAGE_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
# Scaling that is already in `max_position_embeddings` (vLLM's own exceptions).
SCALED_ALREADY = {"", "default", "llama3", "longrope", "su", "mrope", "proportional"}
Config = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """What the memory of a model is computed from; None and 0 where it is not told.

    `kv_heads` has one number per layer (0: a layer without attention cache), or one
    for all. `window` is the length of sliding attention, held by `window_layers` of
    the layers. Lengths in tokens, dimensions in elements.
    """

    weights_bytes: int
    parameters: int | None = None
    layers: int = 0
    kv_heads: tuple[int, ...] = ()
    key_length: int = 0
    value_length: int = 0
    window: int = 0
    window_layers: int = 0
    latent_length: int = 0  # MLA: one vector a layer instead of keys and values
    vocabulary: int = 0
    context_length: int | None = None
    architecture: str = ""
    dtype: str = ""
    quantization: str = ""


def figures_of_config(
    config: Config, weights_bytes: int, parameters: int | None = None
) -> ModelFigures:
    """The figures of a model in Hugging Face layout, from its parsed config.json."""
    text = _language_part(config)
    window, window_layers = _window(text)
    return ModelFigures(
        weights_bytes=weights_bytes,
        parameters=parameters,
        layers=_layers(text),
        kv_heads=_kv_heads(text),
        key_length=_head_length(text),
        value_length=_number(text, "v_head_dim") or _head_length(text),
        window=window if window_layers else 0,
        window_layers=window_layers,
        latent_length=_latent_length(text),
        vocabulary=_number(text, "vocab_size") or _number(config, "vocab_size"),
        context_length=_context_length(text),
        architecture=_architecture(config),
        dtype=_dtype(config) or _dtype(text),
        quantization=quantization_of(config) or quantization_of(text),
    )


def quantization_of(config: Config) -> str:
    """`AWQ 4-bit`, `FP8`; empty for weights that nobody quantized."""
    settings = _mapping(config.get("quantization_config"))
    method = settings.get("quant_method", "")
    if not isinstance(method, str) or not method:
        return ""
    bits = _number(settings, "bits", "w_bit")
    if not bits and method == "bitsandbytes":
        bits = 4 if settings.get("load_in_4bit") is True else 8
    name = method if len(method) > 6 else method.upper()
    return (f"{name} {bits}-bit" if bits else name)[:40]


def parameter_words(count: int | None) -> str:
    """`8.0B`, `494M`, as people name sizes; empty when it is not known."""
    if not count or count < 0:
        return ""
    for unit, factor in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= 0.9995 * factor:
            shown = count / factor
            return f"{shown:.0f}{unit}" if unit in "MK" else f"{shown:.1f}{unit}"
    return str(count)


def _language_part(config: Config) -> Config:
    for name in LANGUAGE_PARTS:
        part = _mapping(config.get(name))
        if part:
            return _language_part(part) if "num_hidden_layers" not in part else part
    return config


def _layers(text: Config) -> int:
    names = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    return min(_number(text, *names), MOST_LAYERS)


def _kv_heads(text: Config) -> tuple[int, ...]:
    """One number for all layers, or one per layer where some keep no cache."""
    several = _numbers(text.get("num_key_value_heads")) or _numbers(
        text.get("num_kv_heads") or text.get("num_key_value_heads_per_layer")
    )
    if several:
        return several
    heads = _number(text, "num_key_value_heads", "num_kv_heads", "n_head_kv")
    if not heads and text.get("multi_query") is True:
        heads = 1
    heads = heads or _attention_heads(text)
    kept = _layers_with_cache(text)
    if kept is None:
        return (heads,) if heads else ()
    return tuple(heads if is_kept else 0 for is_kept in kept)


def _layers_with_cache(text: Config) -> list[bool] | None:
    """Which layers keep keys and values; None where all of them do.

    Hybrids say it as a list of kinds (Qwen3-Next, Granite 4), as a pattern of letters
    (Nemotron-H, `*` is attention) or as every nth layer (Jamba, Qwen3-Next).
    """
    layers = _layers(text)
    kinds = _kinds(text)
    if kinds:
        kept = ["attention" in kind and "linear" not in kind for kind in kinds]
    elif isinstance(pattern := text.get("hybrid_override_pattern"), str):
        kept = [letter == "*" for letter in pattern[:MOST_LAYERS]]
    elif period := _number(text, "attn_layer_period"):
        offset = _number(text, "attn_layer_offset")
        kept = [number % period == offset for number in range(layers)]
    elif every := _number(text, "full_attention_interval"):
        kept = [(number + 1) % every == 0 for number in range(layers)]
    else:
        kept = [] if not _is_without_attention(text) else [False] * layers
    return None if all(kept) else kept


def _is_without_attention(text: Config) -> bool:
    return str(text.get("model_type")) in {"mamba", "mamba2", "falcon_mamba", "rwkv"}


def _kinds(text: Config) -> list[str]:
    listed = text.get("layer_types") or text.get("layers_block_type")
    if not isinstance(listed, list):
        return []
    return [str(kind) for kind in listed[:MOST_LAYERS]]


def _window(text: Config) -> tuple[int, int]:
    """The sliding window and how many layers have one."""
    window, layers = _number(text, "sliding_window", "attention_window"), _layers(text)
    if not window or text.get("use_sliding_window") is False:
        return 0, 0
    if kinds := _kinds(text):
        return window, sum("sliding" in kind for kind in kinds)
    if pattern := _number(text, "sliding_window_pattern", "_sliding_window_pattern"):
        return window, layers - layers // pattern  # every nth sees everything
    if text.get("model_type") == "gemma2":
        return window, (layers + 1) // 2
    if text.get("use_sliding_window") is True:
        return window, max(0, layers - _number(text, "max_window_layers"))
    return window, layers


def _latent_length(text: Config) -> int:
    rank = _number(text, "kv_lora_rank")
    return rank + _number(text, "qk_rope_head_dim") if rank else 0


def _head_length(text: Config) -> int:
    told = _number(text, "head_dim", "attention_head_dim", "kv_channels")
    heads = _attention_heads(text)
    width = _number(text, "hidden_size", "n_embd", "d_model")
    return told or (width // heads if heads else 0)


def _attention_heads(text: Config) -> int:
    return _number(text, "num_attention_heads", "n_head", "n_heads")


def _context_length(text: Config) -> int | None:
    """Tokens, with the scaling of positions that vLLM would add."""
    told = _number(
        text,
        *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
        *("model_max_length", "max_sequence_length", "n_ctx"),
    )
    scaling = _mapping(text.get("rope_scaling") or text.get("rope_parameters"))
    kind = str(scaling.get("rope_type") or scaling.get("type") or "")
    factor = scaling.get("factor")
    if kind in SCALED_ALREADY or "gemma3" in str(text.get("model_type")):
        return told or None
    if kind == "yarn":
        told = _number(scaling, "original_max_position_embeddings") or told
    if isinstance(factor, (int, float)) and 1 <= factor <= 1000:
        told = int(told * factor)
    return told or None


def _architecture(config: Config) -> str:
    listed = config.get("architectures")
    return str(listed[0])[:100] if isinstance(listed, list) and listed else ""


def _dtype(config: Config) -> str:
    told = config.get("dtype") or config.get("torch_dtype")
    return told.removeprefix("torch.")[:20] if isinstance(told, str) else ""


def _mapping(value: object) -> Config:
    return value if isinstance(value, dict) else {}


def _number(config: Config, *names: str) -> int:
    """The first of these fields that holds a plausible count, else 0."""
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value <= LARGEST:
            return value
    return 0


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    listed = value[:MOST_LAYERS]
    good = all(type(one) is int and 0 <= one <= LARGEST for one in listed)
    return tuple(listed) if good else ()
