"""What a Hugging Face Hub tells of models, read from its JSON.

Written by strangers and extended by the Hub at will: a field of another type than
expected is as good as missing, an entry without an id is passed over. Only an answer
that is nothing of the kind raises `HubUnreadable`. Shapes: hub docs of 2026-08.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from venom_site.clients.huggingface_errors import HubUnreadable

LARGEST = 2**62
LONGEST_TEXT = 500
LONGEST_PATH = 1_000
MOST_TAGS = 300
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model as lists and details tell of it; empty and None where they do not.

    `gated` is empty, `auto` or `manual`. `parameters` counts weights, `dtypes` how many
    of them are of which type (`BF16`). `downloads` are those of the last 30 days.
    """

    id: str
    commit: str = ""
    downloads: int | None = None
    likes: int | None = None
    trending_score: int | None = None
    tags: tuple[str, ...] = ()
    pipeline_tag: str = ""
    library: str = ""
    license: str = ""
    license_url: str = ""
    gated: str = ""
    is_private: bool = False
    is_disabled: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    parameters: int | None = None
    dtypes: tuple[tuple[str, int], ...] = ()
    architectures: tuple[str, ...] = ()
    gguf_architecture: str = ""
    context_length: int | None = None  # told for GGUF only

    @property
    def owner(self) -> str:
        return self.id.partition("/")[0] if "/" in self.id else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a commit. Of a big file (LFS) the SHA-256 proves the content; of a
    small one git's own hash does, `sha1("blob <size>\\0" + content)`."""

    path: str
    size_bytes: int | None
    git_sha1: str = ""  # empty for big files: theirs would prove the pointer only
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepo(HubModel):
    """A model at one commit (40 hex digits) with all files of it."""

    files: tuple[HubFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPage:
    """`next_cursor` asks for the rest; empty on the last page."""

    items: tuple[HubModel, ...]
    next_cursor: str = ""


def models_in(body: bytes) -> tuple[HubModel, ...]:
    """The models of a list; entries that are none are passed over."""
    listed = _decoded(body)
    if not isinstance(listed, list):
        raise HubUnreadable("The Hub's list of models is no list.")
    entries = [entry for entry in listed if _is_model(entry)]
    if listed and not entries:
        raise HubUnreadable("The Hub's list of models has no models in it.")
    return tuple(HubModel(**_fields(entry)) for entry in entries)


def repo_in(body: bytes) -> HubRepo:
    """A model with its files; raises `HubUnreadable` without commit or files."""
    told = _decoded(body)
    if not _is_model(told):
        raise HubUnreadable("The Hub's answer is no model.")
    listed = told.get("siblings")
    if not isinstance(listed, list):
        raise HubUnreadable("The Hub's answer names no files.")
    fields = _fields(told)
    if not fields["commit"]:
        raise HubUnreadable("The Hub's answer names no commit.")
    files = [_file(entry) for entry in listed]
    return HubRepo(**fields, files=tuple(filter(None, files)))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HubUnreadable("The Hub answered with something else than JSON.") from None


def _is_model(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(_text(entry.get("id")))


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    card, config = _mapping(entry, "cardData"), _mapping(entry, "config")
    weights, gguf = _mapping(entry, "safetensors"), _mapping(entry, "gguf")
    tags = _texts(entry.get("tags"))
    return {
        "id": _text(entry["id"]),
        "commit": _matching(_COMMIT, entry.get("sha")),
        "downloads": _count(entry.get("downloads")),
        "likes": _count(entry.get("likes")),
        "trending_score": _count(entry.get("trendingScore")),
        "tags": tags,
        "pipeline_tag": _text(entry.get("pipeline_tag")),
        "library": _text(entry.get("library_name")),
        "license": _license(card, tags),
        "license_url": _address(card.get("license_link")),
        "gated": _gated(entry.get("gated")),
        "is_private": entry.get("private") is True,
        "is_disabled": entry.get("disabled") is True,
        "created_at": _moment(entry.get("createdAt")),
        "updated_at": _moment(entry.get("lastModified")),
        "parameters": _count(weights.get("total")) or _count(gguf.get("total")),
        "dtypes": _dtypes(_mapping(weights, "parameters")),
        "architectures": _texts(config.get("architectures")),
        "gguf_architecture": _text(gguf.get("architecture")),
        "context_length": _count(gguf.get("context_length")),
    }


def _file(entry: Any) -> HubFile | None:
    path = entry.get("rfilename") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not 0 < len(path) <= LONGEST_PATH:
        return None
    big = _mapping(entry, "lfs")
    size = _count(entry.get("size"))
    if big:
        sha256 = _matching(_SHA256, big.get("sha256"))
        size = _count(big.get("size")) if size is None else size
        return HubFile(path=path, size_bytes=size, sha256=sha256)
    sha1 = _matching(_COMMIT, entry.get("blobId"))
    return HubFile(path=path, size_bytes=size, git_sha1=sha1)


def _license(card: Mapping[str, Any], tags: tuple[str, ...]) -> str:
    told = card.get("license")
    name = _text(told[0] if isinstance(told, list) and told else told)
    if name == "other":
        name = _text(card.get("license_name")) or name
    tagged = [tag[8:] for tag in tags if tag.startswith("license:")]
    return name or next(iter(tagged), "")


def _gated(value: Any) -> str:
    if value in (False, None, ""):
        return ""
    return "auto" if value == "auto" else "manual"


def _dtypes(counts: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    read = [(_text(name), _count(count)) for name, count in counts.items()]
    return tuple((name, count) for name, count in read if name and count)


def _mapping(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    listed = value[:MOST_TAGS] if isinstance(value, list) else []
    return tuple(text for text in map(_text, listed) if text)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST else None


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _address(value: Any) -> str:
    text = _text(value)
    return text if text.startswith(("https://", "http://")) else ""


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else None
