"""Whether a model fits: known models to the byte, verdicts, and what never reverses."""

from __future__ import annotations

import itertools
import random

import pytest

from models_app.providers.figures import ModelFigures
from models_app.services.fit import (
    GpuRoom,
    Machine,
    Serving,
    contexts_that_fit,
    fit_payload,
    judge,
    kv_bytes,
)

GIB = 1 << 30
KIB = 1 << 10
GB = 10**9


def figures(**given):
    """Llama 3.1 8B at Q4_K_M, unless told otherwise."""
    told = {
        "weights_bytes": 4_920_000_000,
        "layers": 32,
        "kv_heads": (8,),
        "key_length": 128,
        "value_length": 128,
        "context_length": 131_072,
    }
    return ModelFigures(**(told | given))


def gpu(free=12 * GIB, total=None, index=0):
    return GpuRoom(
        index=index, name="RTX", free_bytes=free, total_bytes=total or max(free, 1)
    )


def machine(*gpus, memory=32 * GIB, **given):
    told = {"memory_free_bytes": memory, "memory_total_bytes": max(memory, 64 * GIB)}
    return Machine(gpus=gpus, store_free_bytes=50 * GB, **(told | given))


@pytest.mark.parametrize(
    ("name", "shape", "per_token", "gib_at_8k"),
    [
        ("Llama-3.1-8B", (32, 8, 128), 128 * KIB, 1.0),
        ("Qwen2.5-7B", (28, 4, 128), 56 * KIB, 0.4375),
        ("Llama-3.1-70B", (80, 8, 128), 320 * KIB, 2.5),
        ("Gemma-2-2B", (26, 4, 256), 104 * KIB, 0.8125),
    ],
)
def test_the_cache_of_known_models_is_exact(name, shape, per_token, gib_at_8k):
    layers, heads, length = shape
    known = figures(
        layers=layers, kv_heads=(heads,), key_length=length, value_length=length
    )
    assert kv_bytes(known, 1) == per_token
    assert kv_bytes(known, 8192) == gib_at_8k * GIB


@pytest.mark.parametrize(
    ("kv_type", "share"),
    [("f16", 1), ("q8_0", 0.53125), ("q4_0", 0.28125), ("f32", 2), ("nobody's", 1)],
)
def test_a_quantized_cache_takes_its_share(kv_type, share):
    assert kv_bytes(figures(), 8192, kv_type=kv_type) == share * GIB


def test_sequences_side_by_side_each_have_a_cache():
    assert kv_bytes(figures(), 8192, parallel=4) == 4 * GIB


def test_layers_without_attention_have_no_cache():
    hybrid = figures(layers=4, kv_heads=(8, 0, 0, 8))
    assert kv_bytes(hybrid, 1000) == 2 * 8 * 256 * 1000 * 2


def test_sliding_windows_hold_no_more_than_window_and_batch():
    """Gemma 3 4B: 34 layers, 29 of them with a window of 1024."""
    gemma = figures(
        layers=34,
        kv_heads=(4,),
        key_length=256,
        value_length=256,
        window=1024,
        window_layers=29,
    )
    row = 4 * 512 * 2
    assert kv_bytes(gemma, 1000) == 34 * row * 1000
    assert kv_bytes(gemma, 32_768) == 5 * row * 32_768 + 29 * row * (1024 + 512)
    both = kv_bytes(gemma, 32_768, parallel=2)
    assert both == 5 * row * 65_536 + 29 * row * (2048 + 512)


def test_a_latent_cache_is_one_vector_a_layer():
    """DeepSeek V3: 61 layers of 512 + 64 numbers."""
    deepseek = figures(layers=61, latent_length=576, kv_heads=(1,))
    assert kv_bytes(deepseek, 4096) == 61 * 576 * 2 * 4096


def test_without_heads_nobody_knows_the_cache():
    assert kv_bytes(figures(kv_heads=()), 8192) is None
    assert kv_bytes(ModelFigures(weights_bytes=GB), 8192) is None


def test_what_fits_says_how_much_stays_free():
    fit = judge(figures(), machine(gpu()), runtime="ollama")

    needed = round(1.05 * 4_920_000_000) + GIB + 3 * GIB // 4
    assert (fit.verdict, fit.context, fit.place) == ("fits", 8192, "gpu")
    assert fit.needed_bytes == needed
    assert fit.left_bytes == int(0.95 * 12 * GIB) - needed
    assert fit.longest_context == 46 * 1024  # the last step that 11.4 GiB hold
    assert not fit.is_measured


def test_what_fits_only_with_a_shorter_context_says_up_to_which():
    known = machine(gpu(8 * GIB), ollama=Serving(context=32_768))
    fit = judge(figures(), known, runtime="ollama")

    assert (fit.verdict, fit.context) == ("tight", 32_768)
    longest = fit.longest_context
    assert longest == 16 * 1024
    again = judge(figures(), known, runtime="ollama", context=longest)
    over = judge(figures(), known, runtime="ollama", context=longest + 1024)
    assert (again.verdict, over.verdict) == ("fits", "tight")


def test_ollama_goes_on_in_memory_what_the_gpu_does_not_hold():
    fit = judge(figures(), machine(gpu(4 * GIB)), runtime="ollama")
    assert (fit.verdict, fit.place) == ("partial", "gpu")
    assert fit.available_bytes == int(0.95 * 4 * GIB) + int(0.95 * 32 * GIB)


def test_too_big_says_by_how_much_at_the_shortest_context():
    fit = judge(figures(), machine(gpu(2 * GIB), memory=2 * GIB), runtime="ollama")

    assert (fit.verdict, fit.context, fit.longest_context) == ("too_big", 2048, None)
    needed = round(1.05 * 4_920_000_000) + GIB // 4 + 3 * GIB // 4
    assert fit.missing_bytes == needed - fit.available_bytes > 0


def test_without_a_gpu_memory_counts():
    fits = judge(figures(), machine(memory=16 * GIB), runtime="ollama")
    big = judge(figures(), machine(memory=4 * GIB), runtime="ollama")

    assert (fits.verdict, fits.place) == ("fits", "memory")
    assert (big.verdict, big.place) == ("too_big", "memory")


def test_ollama_spreads_over_gpus_and_vllm_takes_one():
    two = machine(gpu(8 * GIB), gpu(8 * GIB, index=1))
    bf16 = figures(weights_bytes=9 * GIB)

    assert judge(bf16, two, runtime="ollama").verdict == "fits"
    assert judge(bf16, two, runtime="vllm").verdict == "too_big"


def test_a_small_second_gpu_never_makes_less_room():
    one = judge(figures(), machine(gpu()), runtime="ollama")
    two = judge(figures(), machine(gpu(), gpu(1 << 20, index=1)), runtime="ollama")
    assert two.available_bytes == one.available_bytes


def test_memory_that_our_own_runtimes_hold_is_given_back():
    taken = gpu(free=2 * GIB, total=12 * GIB)
    alone = machine(taken, memory=GIB)
    ours = machine(taken, memory=GIB, held_bytes=9 * GIB)

    assert judge(figures(), alone, runtime="ollama").verdict == "too_big"
    assert judge(figures(), ours, runtime="ollama").verdict == "fits"


def test_what_would_fit_an_empty_gpu_is_busy_not_hopeless():
    taken = machine(gpu(free=2 * GIB, total=12 * GIB), memory=GIB)
    assert judge(figures(), taken, runtime="ollama").is_busy
    tiny = machine(gpu(2 * GIB), memory=GIB, memory_total_bytes=GIB)
    assert not judge(figures(), tiny, runtime="ollama").is_busy


def test_vllm_needs_weights_beside_and_one_whole_sequence():
    bf16 = figures(weights_bytes=16_060_000_000)
    short = judge(bf16, machine(gpu(24 * GIB)), runtime="vllm", context=8192)
    whole = judge(bf16, machine(gpu(24 * GIB)), runtime="vllm")

    assert short.verdict == "fits"
    assert short.needed_bytes == 16_060_000_000 + GIB + 3 * GIB // 2
    assert short.available_bytes == int(0.92 * 24 * GIB)
    assert (whole.verdict, whole.context) == ("tight", 131_072)
    again = judge(
        bf16, machine(gpu(24 * GIB)), runtime="vllm", context=whole.longest_context
    )
    assert again.verdict == "fits"


def test_vllm_does_not_start_where_its_share_is_not_free():
    """«Free memory on device … is less than desired GPU memory utilization»."""
    taken = machine(gpu(free=20 * GIB, total=24 * GIB))
    fit = judge(figures(), taken, runtime="vllm", context=8192)

    assert (fit.verdict, fit.is_busy) == ("too_big", True)
    assert fit.missing_bytes == int(0.92 * 24 * GIB) - 20 * GIB
    assert contexts_that_fit(figures(), taken, runtime="vllm")[0].fits is False
    freed = machine(gpu(free=20 * GIB, total=24 * GIB), held_bytes=4 * GIB)
    assert judge(figures(), freed, runtime="vllm", context=8192).verdict == "fits"


def test_vllm_without_a_gpu_counts_memory_and_one_sequence():
    fit = judge(figures(), machine(memory=16 * GIB), runtime="vllm", context=8192)
    assert (fit.verdict, fit.place) == ("fits", "memory")
    assert fit.needed_bytes == 4_920_000_000 + GIB + 2 * GIB


def test_vllm_loads_full_precision_as_half_unless_told_otherwise():
    full = figures(weights_bytes=8 * GIB, dtype="float32")
    half = judge(full, machine(gpu(24 * GIB)), runtime="vllm", context=8192)
    kept = judge(
        full,
        machine(gpu(24 * GIB), vllm=Serving(dtype="float32", kv_type="auto")),
        runtime="vllm",
        context=8192,
    )
    assert half.needed_bytes == 4 * GIB + GIB + 3 * GIB // 2
    assert kept.needed_bytes == 8 * GIB + 2 * GIB + 3 * GIB // 2


def test_what_was_measured_wins_at_its_context():
    known = machine(gpu())
    fit = judge(figures(), known, runtime="ollama", measured=(5_100_000_000, 16_384))
    assert (fit.context, fit.needed_bytes) == (16_384, 5_100_000_000)
    assert fit.is_measured

    moved = judge(
        figures(),
        known,
        runtime="ollama",
        context=8192,
        measured=(5_100_000_000, 16_384),
    )
    assert moved.needed_bytes == 5_100_000_000 - GIB
    assert not moved.is_measured


def test_with_nothing_but_a_size_the_verdict_is_rough():
    fits = judge(None, machine(gpu()), runtime="ollama", size_bytes=5 * GIB)
    big = judge(None, machine(gpu()), runtime="vllm", size_bytes=20 * GIB)

    assert (fits.verdict, fits.is_rough, fits.context) == ("fits", True, None)
    assert fits.needed_bytes == 6 * GIB + 3 * GIB // 4
    assert big.verdict == "too_big"
    assert contexts_that_fit(None, machine(gpu()), runtime="ollama") == []


def test_with_nothing_at_all_it_is_not_known():
    fit = judge(None, machine(gpu()), runtime="ollama")
    assert fit.verdict == "unknown"
    assert fit_payload(fit)["needed_bytes"] is None


@pytest.mark.parametrize(
    ("size", "is_here", "ok"),
    [(49 * GB, False, True), (51 * GB, False, False), (51 * GB, True, True)],
)
def test_the_store_is_judged_apart_from_memory(size, is_here, ok):
    fit = judge(
        figures(), machine(gpu()), runtime="ollama", size_bytes=size, is_here=is_here
    )
    assert (fit.verdict, fit.store_ok) == ("fits", ok)


def test_a_context_beyond_the_models_own_is_cut():
    short = figures(context_length=4096)
    fit = judge(short, machine(gpu()), runtime="ollama", context=32_768)
    assert (fit.context, fit.longest_context) == (4096, 4096)


def test_contexts_are_listed_up_to_the_models_own():
    rows = contexts_that_fit(
        figures(context_length=40_960),
        machine(gpu(8 * GIB)),
        runtime="ollama",
        measured=(6 * GIB, 8192),
    )
    assert [row.context for row in rows] == [4096, 8192, 16_384, 32_768, 40_960]
    assert [row.fits for row in rows] == [True, True, True, False, False]
    assert [row.is_measured for row in rows] == [False, True, False, False, False]
    assert rows[1].needed_bytes == 6 * GIB


def made_up(dice):
    """Figures of no model in particular."""
    layers = dice.randint(1, 96)
    each = tuple(dice.choice((0, 1, 4, 8)) for _ in range(layers))
    return figures(
        weights_bytes=dice.randint(10**7, 10**11),
        layers=layers,
        kv_heads=dice.choice(((8,), each, (1,))),
        key_length=dice.choice((64, 128, 256)),
        value_length=dice.choice((64, 128)),
        window=dice.choice((0, 512, 4096)),
        window_layers=dice.randint(0, layers),
        latent_length=dice.choice((0, 0, 576)),
        context_length=dice.choice((None, 512, 8192, 131_072)),
    )


RANK = {"too_big": 0, "partial": 1, "tight": 2, "fits": 3}


@pytest.mark.parametrize("runtime", ["ollama", "vllm"])
@pytest.mark.parametrize("seed", range(40))
def test_more_context_never_needs_less_and_more_memory_never_fits_worse(seed, runtime):
    dice = random.Random(seed)
    known = made_up(dice)
    memory = dice.randint(1, 64) * GIB

    def at(size, context=None):
        there = machine(*([gpu(size)] if size else []), memory=memory)
        return judge(known, there, runtime=runtime, context=context)

    sizes = sorted(dice.randint(1, 80) * GIB for _ in range(6))
    ranks = [RANK[at(size).verdict] for size in sizes]
    assert ranks == sorted(ranks)
    lengths = [at(sizes[-1], c).needed_bytes for c in (2048, 8192, 32_768)]
    assert lengths == sorted(lengths)
    longest = [at(size).longest_context or 0 for size in sizes if at(size).place]
    if RANK[at(sizes[0]).verdict] >= 2:  # «partial» counts another room
        assert longest == sorted(longest)


@pytest.mark.parametrize("seed", range(40))
def test_the_longest_context_fits_and_a_step_more_does_not(seed):
    dice = random.Random(seed)
    known = made_up(dice)
    there = machine(gpu(dice.randint(2, 48) * GIB), memory=GIB)
    fit = judge(known, there, runtime="ollama")
    if fit.verdict not in ("fits", "tight"):
        return
    longest = fit.longest_context
    assert judge(known, there, runtime="ollama", context=longest).verdict == "fits"
    most = known.context_length or fit.context
    if longest < most:
        over = judge(known, there, runtime="ollama", context=min(most, longest + 1024))
        assert over.verdict == "tight"


def test_every_verdict_has_the_same_payload():
    shapes = set()
    for size, memory in itertools.product((0, 2, 5, 12), (1, 32)):
        room = [gpu(size * GIB)] if size else []
        fit = judge(figures(), machine(*room, memory=memory * GIB), runtime="ollama")
        shapes.add(tuple(fit_payload(fit)))
    shapes.add(tuple(fit_payload(judge(None, machine(), runtime="vllm"))))
    assert len(shapes) == 1
