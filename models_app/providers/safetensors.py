"""What the header of a safetensors file tells, without reading its weights.

Layout (huggingface/safetensors, format 0.x): eight bytes with the length of a JSON
header, little endian, then the header, then the numbers. Pure reading; never raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_HEADER = 100 * 2**20  # the format's own limit
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`size_bytes` is how large the file must be; `dtypes` as the file names them."""

    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    size_bytes: int = 0


def read_header(path: Path) -> Header | None:
    """None for what is no such file, or a damaged one."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if not 2 <= length <= min(LONGEST_HEADER, path.stat().st_size):
                return None
            told = json.loads(file.read(length))
        tensors = list(_tensors(told))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return Header(
        parameters=sum(math.prod(tensor["shape"]) for tensor in tensors),
        dtypes=tuple(sorted({str(tensor["dtype"])[:20] for tensor in tensors})),
        size_bytes=LENGTH_BYTES
        + length
        + max((tensor["data_offsets"][1] for tensor in tensors), default=0),
    )


def _tensors(told: Any) -> Iterator[dict[str, Any]]:
    """Raises ValueError, TypeError or KeyError for what is no tensor."""
    if not isinstance(told, dict):
        raise TypeError("no object")
    for name, tensor in told.items():
        if name == "__metadata__":
            continue
        counts = [*tensor["shape"], *tensor["data_offsets"]]
        if not all(type(n) is int and 0 <= n < 2**63 for n in counts):
            raise ValueError("no counts")
        if len(tensor["data_offsets"]) != 2 or len(tensor["shape"]) > 16:
            raise ValueError("no tensor")
        yield tensor
