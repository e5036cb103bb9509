"""How much memory a model takes at a context: weights, KV cache and what runs beside.

Pure. The formulas are those of llama.cpp and vLLM as of 2026; the constants are on the
safe side, since a model that is said to fit must load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models_app.providers.figures import ModelFigures
from models_app.services.fit_room import Serving
from venom_site.lib.units import GB, GIB

# Blocks of 32 values with their scales, as llama.cpp stores them.
BYTES_PER_VALUE = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
BATCH_TOKENS = 512  # a sliding window holds one batch more than itself
WEIGHTS_MARGIN = 1.05
LLAMA_BESIDE_BYTES = 3 * GIB // 4  # compute buffers and the CUDA context
VLLM_BESIDE_BYTES = 3 * GIB // 2  # activations, CUDA graphs and context: 1 to 3 GiB
VLLM_BESIDE_ON_CPU_BYTES = 2 * GIB  # 2.9 GB seen for a tiny model and 1 GiB of cache
ROUGH_MARGIN = 1.2  # where only the size of the files is known
# What stays free beside a model that is offered unasked: for desktop and browser, and
# for the context that Ollama chooses by itself.
OFFER_FREE_ON_GPU_BYTES = GB
OFFER_FREE_IN_MEMORY_BYTES = 2 * GB
FULL_PRECISION = frozenset({"float32", "fp32", "f32", "float"})


def kv_bytes(
    figures: ModelFigures, context: int, parallel: int = 1, kv_type: str = "f16"
) -> int | None:
    """The KV cache of `parallel` sequences of `context` tokens each; None where the
    figures do not tell. An unknown `kv_type` counts as f16."""
    each = BYTES_PER_VALUE.get(kv_type.lower(), 2.0)
    tokens = context * parallel
    if figures.layers and figures.latent_length:
        return round(figures.layers * figures.latent_length * tokens * each)
    heads = _heads_of_layers(figures)
    head_length = figures.key_length + figures.value_length
    if not heads or not head_length:
        return None
    held = [number for number in heads if number]
    sliding = min(figures.window_layers, len(held)) if figures.window else 0
    share = sliding / len(held) if held else 0.0
    in_window = min(tokens, figures.window * parallel + BATCH_TOKENS)
    kept_tokens = share * in_window + (1 - share) * tokens
    return round(sum(held) * head_length * kept_tokens * each)


def _heads_of_layers(figures: ModelFigures) -> tuple[int, ...]:
    if len(figures.kv_heads) == 1:
        return figures.kv_heads * figures.layers
    return figures.kv_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes at a context, never less at a longer one; `longest` is the model's own.

    `is_rough`: only the size of its files is known, so that every context needs the
    same. `measured` is (bytes, context) as a runtime was seen to take.
    """

    at: Callable[[int], int]
    longest: int | None
    is_rough: bool = False
    measured: tuple[int, int] | None = None

    def is_measured_at(self, context: int | None) -> bool:
        return self.measured is not None and self.measured[1] == context


def need_of(
    figures: ModelFigures | None,
    serving: Serving,
    *,
    runtime: str,
    on_gpu: bool,
    size_bytes: int | None = None,
    measured: tuple[int, int] | None = None,
) -> Need | None:
    """None where neither figures nor size nor a measurement say anything."""
    cache = _cache_of(figures, serving, runtime)
    longest = figures.context_length if figures else None
    if measured is not None:
        return _measured_need(measured, cache, longest)
    weights = _weights(figures, serving, runtime) or size_bytes
    if not weights:
        return None
    beside = _beside(runtime, on_gpu=on_gpu)
    if cache is None:
        rough = round(ROUGH_MARGIN * weights) + beside
        return Need(at=lambda context: rough, longest=longest, is_rough=True)
    margin = 1.0 if runtime == "vllm" else WEIGHTS_MARGIN
    fixed = round(margin * weights) + beside
    return Need(at=lambda context: fixed + cache(context), longest=longest)


def offer_need(size_bytes: int, *, on_gpu: bool) -> int:
    """What must be free before a model of these files is offered to somebody who has
    none: more than `need_of` asks, since nobody chose it knowing the numbers."""
    beside = OFFER_FREE_ON_GPU_BYTES if on_gpu else OFFER_FREE_IN_MEMORY_BYTES
    return round(ROUGH_MARGIN * size_bytes) + beside


def _measured_need(
    measured: tuple[int, int],
    cache: Callable[[int], int] | None,
    longest: int | None,
) -> Need:
    """What was seen, moved along the cache to other contexts."""
    taken, context = measured
    if cache is None:
        return Need(
            at=lambda other: taken, longest=longest, is_rough=True, measured=measured
        )
    without = taken - cache(context)
    return Need(
        at=lambda other: max(0, without + cache(other)),
        longest=longest,
        measured=measured,
    )


def _cache_of(
    figures: ModelFigures | None, serving: Serving, runtime: str
) -> Callable[[int], int] | None:
    if figures is None or kv_bytes(figures, 1) is None:
        return None
    known = figures
    # vLLM must hold one sequence of full length; more only wait for their turn.
    parallel = 1 if runtime == "vllm" else serving.parallel
    kv_type = serving.kv_type
    if kv_type == "auto" and serving.dtype in FULL_PRECISION:
        kv_type = "f32"
    return lambda context: kv_bytes(known, context, parallel, kv_type) or 0


def _weights(figures: ModelFigures | None, serving: Serving, runtime: str) -> int:
    """vLLM loads what is stored in 32 bits as 16 unless it is told otherwise."""
    if figures is None:
        return 0
    is_halved = (
        runtime == "vllm"
        and figures.dtype.lower() in FULL_PRECISION
        and not figures.quantization
        and serving.dtype not in FULL_PRECISION
    )
    return figures.weights_bytes // 2 if is_halved else figures.weights_bytes


def _beside(runtime: str, *, on_gpu: bool) -> int:
    if runtime != "vllm":
        return LLAMA_BESIDE_BYTES
    return VLLM_BESIDE_BYTES if on_gpu else VLLM_BESIDE_ON_CPU_BYTES
