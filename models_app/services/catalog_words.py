"""What somebody types into the catalogue's search, read as words and hints.

`gemma fits:yes runtime:ollama licence:apache size:<5GB author:google`. Pure. What only
looks like a hint is a word, since names hold colons: `qwen3:4b`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from models_app.choices import PROVIDER_RUNTIMES
from models_app.providers.catalogue import Listed

YES, NO = ("yes", "y", "1", "true"), ("no", "n", "0", "false")
_HINT = re.compile(r"(fits|runtime|licen[cs]e|size|author):(.*)", re.IGNORECASE)
_SIZE = re.compile(r"(<=|>=|<|>|=)?(\d{1,6}(?:[.,]\d{1,3})?)(mb|gb|tb)?", re.IGNORECASE)
_UNITS = {"mb": 10**6, "gb": 10**9, "tb": 10**12}
# Bytes of a parameter in Ollama's usual quantization (Q4_K_M), and what comes on top:
# qwen3:8b 5.2 GB, gemma3:27b 17 GB, llama3.3:70b 42.5 GB, November 2026.
BYTES_PER_PARAMETER = 0.61
BESIDE_PARAMETERS = 250_000_000
_LABEL = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """`text` is what the sources are asked for; the rest narrows what they answer.

    Sizes in bytes, `runtime` a runtime that a provider delivers to. `wrong` are hints
    that nobody understands, as they were typed.
    """

    text: str = ""
    fits: bool | None = None
    runtime: str = ""
    licence: str = ""
    author: str = ""
    at_least: int | None = None
    at_most: int | None = None
    wrong: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether some of what a source answers may be left out."""
        sized = self.at_least is not None or self.at_most is not None
        return sized or self.fits is not None or bool(self.licence)

    def wants(self, source: str) -> bool:
        return self.runtime in ("", PROVIDER_RUNTIMES.get(source, ""))

    def accepts(self, item: Listed) -> bool:
        """By licence and size; one whose size nobody knows has none that was asked for.
        Whether it fits is judged elsewhere."""
        if self.licence and self.licence not in item.license.lower():
            return False
        if self.at_least is None and self.at_most is None:
            return True
        size = size_of(item)
        if size is None:
            return False
        return (self.at_least or 0) <= size <= (self.at_most or size)


@dataclass(slots=True)
class _Reading:
    words: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    hints: dict[str, object] = field(default_factory=dict)


def read_words(typed: str) -> Words:
    """The last of several equal hints counts."""
    reading = _Reading()
    for token in typed.split():
        hint = _HINT.fullmatch(token)
        if hint is None:
            reading.words.append(token)
            continue
        read = _read_hint(hint[1].lower(), hint[2])
        if read is None:
            reading.wrong.append(token)
        else:
            reading.hints.update(read)
    return Words(
        text=" ".join(reading.words),
        wrong=tuple(reading.wrong),
        **reading.hints,  # type: ignore[arg-type]
    )


def _read_hint(name: str, value: str) -> dict[str, object] | None:
    """The fields of `Words` that it sets; None when its value makes no sense."""
    plain = value.lower()
    if name == "fits":
        return {"fits": plain in YES} if plain in (*YES, *NO) else None
    if name == "runtime":
        return {"runtime": plain} if plain in PROVIDER_RUNTIMES.values() else None
    if name == "size":
        return _read_size(plain)
    if not value:
        return None
    return {"author": value} if name == "author" else {"licence": plain}


def _read_size(value: str) -> dict[str, object] | None:
    """`<5GB`, `>=500MB`, `4`: without a sign at most so much, without a unit GB."""
    found = _SIZE.fullmatch(value)
    if found is None:
        return None
    sign, number, unit = found.groups()
    size = round(float(number.replace(",", ".")) * _UNITS[unit or "gb"])
    if sign in (">", ">="):
        return {"at_least": size + (sign == ">")}
    return {"at_most": size - (sign == "<")}


def size_of(item: Listed) -> int | None:
    """What the smallest variant takes in bytes, an estimate where only its parameters
    are named; None where nobody says."""
    if item.size_bytes is not None:
        return item.size_bytes
    sizes = [size for size in map(estimated_size, item.sizes) if size is not None]
    return min(sizes, default=None)


def smallest_label(item: Listed) -> str:
    """The variant that `size_of` speaks of: `4b`, empty where there is one only."""
    known = [label for label in item.sizes if estimated_size(label) is not None]
    return min(known, key=lambda label: estimated_size(label) or 0, default="")


def estimated_size(label: str) -> int | None:
    """`8b` → 5.1 GB, `8x7b` all its experts; None for a label of another kind."""
    found = _LABEL.fullmatch(label)
    if found is None:
        return None
    times, number, unit = found.groups()
    parameters = int(times or 1) * float(number) * (10**9 if unit in "bB" else 10**6)
    return round(parameters * BYTES_PER_PARAMETER) + BESIDE_PARAMETERS
