"""GGUF files written by hand, byte by byte, so that they may also lie.

    write_gguf(path, {"general.architecture": "llama"}, tensors=[("a", (4, 4), 0)])

An `int` becomes a u32 (or u64 where it is larger), a `float` an f32; `Raw` is written
as it is. Weights are zeros; `weights=False` leaves them out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venom_site.clients.gguf_words import TENSOR_TYPES

Tensor = tuple[str, Sequence[int], int]  # name, dimensions, type

LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Practice",
    "general.file_type": 15,
    "llama.context_length": 8192,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": [f"<{n}>" for n in range(2000)],
    "tokenizer.chat_template": "{{ messages }}",
}


@dataclass(frozen=True)
class Raw:
    """A value's type and bytes as they shall stand in the file."""

    kind: int
    held: bytes


def gguf_bytes(
    keys: Mapping[str, Any],
    tensors: Sequence[Tensor] = (),
    *,
    version: int = 3,
    order: str = "<",
    key_count: int | None = None,
    tensor_count: int | None = None,
    weights: bool = True,
) -> bytes:
    """The whole file; counts may be other than what follows."""
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(keys) if key_count is None else key_count,
    )
    head = b"GGUF" + struct.pack(f"{order}IQQ", version, *counts)
    for key, value in keys.items():
        head += string(key) + _typed(value)
    offset, body = 0, b""
    for name, dimensions, kind in tensors:
        head += string(name) + struct.pack("<I", len(dimensions))
        head += struct.pack(f"<{len(dimensions)}QIQ", *dimensions, kind, offset)
        size = _size(dimensions, kind)
        offset += size + -size % 32
        if weights:
            body += bytes(size + -size % 32)
    return head + bytes(-len(head) % 32) + body


def write_gguf(
    path: Path, keys: Mapping[str, Any], tensors: Sequence[Tensor] = (), **given: Any
) -> Path:
    path.write_bytes(gguf_bytes(keys, tensors, **given))
    return path


def string(text: str | bytes) -> bytes:
    held = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(held)) + held


def _size(dimensions: Sequence[int], kind: int) -> int:
    elements = 1
    for each in dimensions:
        elements *= each
    _, block, size = TENSOR_TYPES.get(kind, ("", 1, 0))
    return -(-elements // block) * size


def _typed(value: Any) -> bytes:
    kind, held = _value(value)
    return struct.pack("<I", kind) + held


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case Raw(kind, held):
            return kind, held
        case bool():
            return 7, struct.pack("<?", value)
        case int():
            wide = not 0 <= value < 2**32
            return (11, struct.pack("<q", value)) if wide else (4, _u32(value))
        case float():
            return 6, struct.pack("<f", value)
        case str() | bytes():
            return 8, string(value)
        case _:
            return 9, _array(value)


def _array(values: Sequence[Any]) -> bytes:
    pairs = [_value(value) for value in values]
    kind = pairs[0][0] if pairs else 4
    head = struct.pack("<IQ", kind, len(pairs))
    return head + b"".join(held for _, held in pairs)


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)
