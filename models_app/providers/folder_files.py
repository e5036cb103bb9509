"""The files of a model's folder, read as strangers' files are: little, and leniently.

Links are followed (a cache of huggingface_hub consists of them); what is no plain file
is left alone, since opening a pipe would wait for ever. Nothing here raises.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from models_app.reasons import NO_REASON, Reason, because

LARGEST_JSON = 8 * 2**20  # tokenizer_config.json of Gemma 3 has 1.1 MB
LARGEST_TEXT = 2**20
MOST_NAMES = 20_000
Json = dict[str, Any]


def names_in(folder: Path) -> tuple[str, ...]:
    """Plain files directly in it, in order."""
    found: list[str] = []
    with suppress(OSError):
        for entry in folder.iterdir():
            if len(found) < MOST_NAMES and is_plain(entry):
                found.append(entry.name)
    return tuple(sorted(found))


def is_plain(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def size_of(path: Path) -> int:
    """Bytes; 0 for what is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def text_in(path: Path, most: int = LARGEST_TEXT) -> str:
    """At most so many bytes of it; empty where there is none."""
    if not is_plain(path):
        return ""
    try:
        with path.open("rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def read_json(path: Path) -> tuple[Json, Reason]:
    """An object and what is wrong with it.

    NaN and Infinity, which Python writes and configurations of Mamba hold, are null.
    """
    if not is_plain(path):
        return {}, because("json_missing", file=path.name)
    if size_of(path) > LARGEST_JSON:
        most = LARGEST_JSON // 2**20
        return {}, because("json_large", file=path.name, megabytes=most)
    try:
        told = json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError):
        return {}, because("json_unreadable", file=path.name)
    except RecursionError:
        return {}, because("json_deep", file=path.name)
    if not isinstance(told, dict):
        return {}, because("json_no_object", file=path.name)
    return told, NO_REASON


def json_in(path: Path) -> Json:
    """The object, empty where there is none that can be read."""
    return read_json(path)[0]
