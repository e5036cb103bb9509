"""What the header of a GGUF file says of its model; read by `gguf.py`.

Pure: names of keys as the format's own document and llama.cpp have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from venom_site.clients.gguf_words import FILE_TYPES, GUESSED_FLAG

Value = int | float | bool | str | tuple[int | float | bool | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a file says of itself; `keys` without the arrays that were stepped over,
    whose lengths stand in `lengths`.

    `is_whole` is false where only the beginning of a header was at hand: then keys may
    be missing, and `parameters` and `tensor_bytes` are None. `tensor_bytes` is None too
    where a tensor has a type that is new to us.
    """

    version: int
    keys: Mapping[str, Value]
    lengths: Mapping[str, int] = field(default_factory=dict)
    is_whole: bool = True
    tensors: int = 0
    parameters: int | None = None
    tensor_bytes: int | None = None
    tensor_type: str = ""  # the one that most of the weights have
    data_offset: int | None = None

    def text(self, key: str) -> str:
        value = self.keys.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        value = self.keys.get(key)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return value if is_number and isinstance(value, int) else None

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    @property
    def context_length(self) -> int | None:
        return self.number(f"{self.architecture}.context_length") or None

    @property
    def layers(self) -> int | None:
        return self.number(f"{self.architecture}.block_count")

    @property
    def heads(self) -> tuple[int, ...]:
        """Of attention: one number, or one for each layer."""
        value = self.keys.get(f"{self.architecture}.attention.head_count", ())
        many = value if isinstance(value, tuple) else (value,)
        return tuple(each for each in many if isinstance(each, int))

    @property
    def file_type(self) -> int | None:
        return self.number("general.file_type")

    @property
    def quantization(self) -> str:
        """Q4_K_M, BF16; where the file does not say, the type of most weights."""
        kind = self.file_type
        named = FILE_TYPES.get(kind & ~GUESSED_FLAG) if kind is not None else None
        return named or self.tensor_type

    @property
    def chat_template(self) -> str:
        return self.text("tokenizer.chat_template")

    @property
    def vocabulary(self) -> int | None:
        held = self.number(f"{self.architecture}.vocab_size")
        return held or self.lengths.get("tokenizer.ggml.tokens")

    @property
    def split(self) -> tuple[int, int] | None:
        """(this part, parts), counted from 0; None for a model in one file."""
        count = self.number("split.count") or 0
        return (self.number("split.no") or 0, count) if count > 1 else None

    @property
    def is_projector(self) -> bool:
        """The eyes of a model (mmproj), no model of its own."""
        return self.architecture == "clip" or self.text("general.type") == "mmproj"
