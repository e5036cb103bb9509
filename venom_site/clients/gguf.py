"""The header of a GGUF file: what a model is, without reading its weights.

Reads from a file, or from the first bytes of one that still lies elsewhere. Every count
and length in it was written by strangers: nothing is believed beyond the limits below,
and what breaks them is a `GgufRefused`, never a full memory. Large arrays (the words of
a tokenizer) are stepped over; 256,000 of them take about a quarter of a second.
"""

from __future__ import annotations

import io
import math
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from venom_site.clients.gguf_header import GgufHeader, Value
from venom_site.clients.gguf_words import TENSOR_TYPES
from venom_site.lib.errors import WireError

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # 1 counts in 32 bits and is older than any file in use
LONGEST_STRING = 1 << 20  # chat templates have about 50 kB
LONGEST_KEY = 1 << 16
MOST_KEYS = 100_000
MOST_TENSORS = 500_000
MOST_DIMENSIONS = 8
MOST_STRINGS = 10_000_000  # of all arrays that are stepped over
KEPT_ELEMENTS = 1024  # one for each layer; longer arrays are stepped over
KEPT_BYTES = 32 << 20  # of all that is kept
LARGEST_COUNT = 2**63 - 1
USUAL_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]


class GgufRefused(WireError):
    """Not a GGUF file, one of another age, a damaged or a hostile one."""


class _Ended(GgufRefused):
    """The bytes end before the header does."""


def read_header(path: Path) -> GgufHeader:
    """The header of a whole file. Raises `GgufRefused`, also where the file is shorter
    than the tensors it promises; OSError where it cannot be opened."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        header = _Reader(file, size).header()
    if header.data_offset is not None and header.tensor_bytes:
        missing = header.data_offset + header.tensor_bytes - size
        if missing > 0:
            raise GgufRefused(
                f"{path.name} is cut off: {missing} bytes of its weights are missing.",
                permanent=True,
            )
    return header


def header_of(beginning: bytes) -> GgufHeader:
    """The header in the first bytes of a file; what they do not reach is left out."""
    return _Reader(io.BytesIO(beginning), len(beginning)).header(may_end=True)


class _Reader:
    """Goes through a header once; `_at` never passes the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0
        self._keys: dict[str, Value] = {}
        self._lengths: dict[str, int] = {}
        self._kept = 0
        self._stepped = 0

    def header(self, *, may_end: bool = False) -> GgufHeader:
        version = self._version()
        begun = GgufHeader(
            version=version, keys=self._keys, lengths=self._lengths, is_whole=False
        )
        try:
            tensors = self._count(MOST_TENSORS, "tensors")
            for _ in range(self._count(MOST_KEYS, "keys")):
                self._read_key()
            return self._read_tensors(tensors, begun)
        except _Ended:
            if not may_end:
                raise
            return begun

    def _version(self) -> int:
        if self._take(4) != MAGIC:
            raise _refused("This is not a GGUF file: it begins with other bytes.")
        version = self._u32()
        if version in VERSIONS:
            return version
        if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
            raise _refused("This GGUF file is for big-endian machines.")
        raise _refused(f"This GGUF file has version {version}; 2 and 3 can be read.")

    def _read_key(self) -> None:
        key = self._string(LONGEST_KEY)
        kind = self._u32()
        value = self._array(key) if kind == _ARRAY else self._value(kind)
        if value is not None:
            self._keys.setdefault(key, value)

    def _value(self, kind: int) -> int | float | bool | str:
        if kind == _STRING:
            return self._string(LONGEST_STRING)
        shape = _SCALARS.get(kind)
        if shape is None:
            raise _refused(f"A key has the unknown type {kind}.")
        value: int | float | bool = shape.unpack(self._take(shape.size))[0]
        return value

    def _array(self, key: str) -> tuple[int | float | bool | str, ...] | None:
        """None for one that is too long to matter here."""
        kind, count = self._u32(), self._u64()
        self._lengths[key] = min(count, LARGEST_COUNT)
        if kind == _STRING:
            return self._strings(count)
        shape = _SCALARS.get(kind)
        if shape is None:
            raise _refused(f"An array has the unknown type {kind}.")
        if count > KEPT_ELEMENTS:
            self._skip(count * shape.size)
            return None
        held = self._keep(count * shape.size)
        return tuple(each[0] for each in shape.iter_unpack(held))

    def _strings(self, count: int) -> tuple[str, ...] | None:
        if count <= KEPT_ELEMENTS:
            return tuple(self._string(LONGEST_STRING) for _ in range(count))
        self._stepped += count
        if self._stepped > MOST_STRINGS:
            raise _refused(f"An array promises {count} strings.")
        for _ in range(count):
            self._skip(self._length(LONGEST_STRING))
        return None

    def _read_tensors(self, tensors: int, begun: GgufHeader) -> GgufHeader:
        parameters, end, types = 0, 0, Counter[str]()
        is_known = True
        for _ in range(tensors):
            self._skip(self._length(LONGEST_KEY))  # its name
            elements = self._elements()
            kind, offset = self._u32(), self._u64()
            name, block, size = TENSOR_TYPES.get(kind, ("", 1, 0))
            is_known = is_known and bool(size)
            parameters += elements
            types[name] += elements
            end = max(end, offset + -(-elements // block) * size)
        if max(parameters, end) > LARGEST_COUNT:
            raise _refused("Its tensors are larger than any machine.")
        alignment = self._alignment()
        return replace(
            begun,
            is_whole=True,
            tensors=tensors,
            parameters=parameters,
            tensor_bytes=end if is_known else None,
            tensor_type=max(types, key=lambda name: types[name], default=""),
            data_offset=-(-self._at // alignment) * alignment,
        )

    def _elements(self) -> int:
        dimensions = self._u32()
        if dimensions > MOST_DIMENSIONS:
            raise _refused(f"A tensor has {dimensions} dimensions.")
        return math.prod(self._u64() for _ in range(dimensions))

    def _alignment(self) -> int:
        given = self._keys.get("general.alignment")
        is_power = isinstance(given, int) and given > 0 and not given & (given - 1)
        return given if is_power and isinstance(given, int) else USUAL_ALIGNMENT

    def _string(self, longest: int) -> str:
        held = self._keep(self._length(longest))
        # No database stores a NUL, no page shows half a character.
        return held.decode("utf-8", "replace").replace("\0", "")

    def _length(self, longest: int) -> int:
        length = self._u64()
        if length > longest:
            raise _refused(f"A string promises {length} bytes.")
        return length

    def _count(self, most: int, what: str) -> int:
        count = self._u64()
        if count > most:
            raise _refused(f"It promises {count} {what}.")
        return count

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def _keep(self, number: int) -> bytes:
        self._kept += number
        if self._kept > KEPT_BYTES:
            raise _refused("Its header is larger than any model's.")
        return self._take(number)

    def _take(self, number: int) -> bytes:
        self._within(number)
        held = self._file.read(number)
        self._at += number
        if len(held) < number:  # somebody cuts the file while it is read
            raise _Ended("It ends within its header.", permanent=True)
        return held

    def _skip(self, number: int) -> None:
        self._within(number)
        self._file.seek(number, io.SEEK_CUR)
        self._at += number

    def _within(self, number: int) -> None:
        if number > self._size - self._at:
            raise _Ended("It ends within its header.", permanent=True)


def _refused(why: str) -> GgufRefused:
    return GgufRefused(why, permanent=True)
