"""The figures of memory in the keys of a GGUF file, as llama.cpp writes and reads them.

Ollama's /api/show prints the same keys. What strangers wrote is read leniently: a
figure that is missing or absurd counts as not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models_app.providers.figures import ModelFigures
from venom_site.clients.gguf_header import GgufHeader

# Which layers slide over a window where the file does not say: every so many of them
# sees everything. As in llama.cpp's loaders (src/models), autumn 2026.
_FULL_EVERY = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "gptoss": 2,
    "llama4": 4,
    "olmo2": 4,
}
_CHUNK_OF_LLAMA_4 = 8192  # in no key of its files
_MOST_LAYERS = 10_000
_LARGEST = 10**9  # of a length, a dimension or a count of heads


def figures_of_gguf(header: GgufHeader, size_bytes: int) -> ModelFigures:
    """From the header of a model's (first) file; `size_bytes` of all its files."""
    return figures_of_keys(
        header.keys,
        size_bytes=size_bytes,
        parameters=header.parameters,
        vocabulary=header.vocabulary or 0,
        quantization=header.quantization,
    )


def figures_of_keys(
    keys: Mapping[str, Any],
    *,
    size_bytes: int = 0,
    parameters: int | None = None,
    vocabulary: int = 0,
    quantization: str = "",
) -> ModelFigures:
    """From the keys of a GGUF header, which Ollama's /api/show prints too. What makes
    no sense counts as not told; per-layer lists that Ollama leaves out are not told."""
    read = _Keys(keys)
    layers = min(read.number("block_count"), _MOST_LAYERS)
    heads = read.kv_heads(layers)
    window, sliding = read.window(layers)
    return ModelFigures(
        weights_bytes=size_bytes,
        parameters=parameters or read.plain("general.parameter_count") or None,
        layers=layers,
        kv_heads=heads,
        key_length=read.head_length("key_length"),
        value_length=read.head_length("value_length"),
        window=window,
        window_layers=sum(
            slides and bool(held)
            for slides, held in zip(sliding, heads * (layers or 1), strict=False)
        ),
        latent_length=read.latent_length(),
        vocabulary=vocabulary or read.number("vocab_size"),
        context_length=read.number("context_length") or None,
        architecture=read.architecture,
        quantization=quantization,
    )


class _Keys:
    """Numbers of one architecture's keys, 0 where there is none."""

    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = keys
        self.architecture = str(keys.get("general.architecture") or "")[:60]

    def plain(self, key: str) -> int:
        return _count(self._keys.get(key), 2**62)

    def number(self, key: str) -> int:
        return _count(self._held(key), _LARGEST)

    def _held(self, key: str) -> Any:
        return self._keys.get(f"{self.architecture}.{key}")

    def _for_layers(self, key: str, layers: int) -> tuple[int, ...]:
        """One number for all layers or one for each; () where neither is told."""
        held = self._held(key)
        if not isinstance(held, list | tuple):
            number = _count(held, _LARGEST)
            return (number,) if number else ()
        return tuple(_count(each, _LARGEST) for each in held[:layers])

    def kv_heads(self, layers: int) -> tuple[int, ...]:
        heads = self._for_layers("attention.head_count_kv", layers)
        if not heads and self._held("attention.head_count_kv") is None:
            heads = self._for_layers("attention.head_count", layers)
        every = self.number("full_attention_interval")
        shared = self.number("attention.shared_kv_layers")
        if len(heads) != 1 or (every < 2 and not shared):
            return heads
        own = max(0, layers - shared)  # the last layers look into the cache of others
        return tuple(
            heads[0] if layer < own and (every < 2 or (layer + 1) % every == 0) else 0
            for layer in range(layers)
        )

    def head_length(self, key: str) -> int:
        told = self.number(f"attention.{key}")
        heads = max(self._for_layers("attention.head_count", _MOST_LAYERS), default=0)
        return told or (self.number("embedding_length") // heads if heads else 0)

    def window(self, layers: int) -> tuple[int, tuple[bool, ...]]:
        """The length of sliding attention and which layers have it. Where nobody says
        which, none has: an estimate may be too large, never too small."""
        window = self.number("attention.sliding_window")
        if self.architecture == "llama4":
            window = _CHUNK_OF_LLAMA_4
        pattern = self._held("attention.sliding_window_pattern")
        if isinstance(pattern, list | tuple) and pattern:
            return window, tuple(bool(each) for each in pattern[:layers])
        every = _count(pattern, _LARGEST) or _FULL_EVERY.get(self.architecture, 1)
        return window, tuple((layer + 1) % every != 0 for layer in range(layers))

    def latent_length(self) -> int:
        """MLA keeps one vector a layer; files from before llama.cpp knew how keep all
        heads, and lack the key that says so."""
        if not self.number("attention.key_length_mla"):
            return 0
        rank = self.number("attention.kv_lora_rank")
        return rank + self.number("rope.dimension_count") if rank else 0


def _count(value: Any, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value <= largest else 0
