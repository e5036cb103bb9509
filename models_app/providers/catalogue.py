"""What every catalogue of models can be asked, and the shape of the answers.

A catalogue is where models are found and judged, a provider (`base.py`) where they are
fetched from. Adapters never touch the database; what they say is English.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from models_app.providers.figures import ModelFigures
from models_app.reasons import NO_REASON, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model as a catalogue lists it; None and empty where it does not say.

    `name` is what one installs (`org/name`, `qwen3`). `gated` is empty, `auto` or
    `manual`. `size_bytes` is exact only where `is_exact`. `sizes` are the variants that
    a list names without details (`4b`, `27b`).
    """

    provider: str
    name: str
    display_name: str
    owner: str = ""
    description: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    downloads: int | None = None
    likes: int | None = None
    parameters: int | None = None
    parameter_size: str = ""
    size_bytes: int | None = None
    is_exact: bool = False
    quantization: str = ""
    format: str = ""
    context_length: int | None = None
    license: str = ""
    gated: str = ""
    is_private: bool = False
    is_remote: bool = False  # runs only in the vendor's cloud
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A page of a catalogue; `next_cursor` is empty on the last one."""

    items: tuple[Listed, ...]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thing to install. `name` is what POST /models/install takes."""

    name: str
    label: str
    size_bytes: int | None
    is_exact: bool = True
    quantization: str = ""
    format: str = ""
    parameter_size: str = ""
    context_length: int | None = None
    digest: str = ""
    files: int = 0
    complaint: Reason = NO_REASON  # why it cannot be installed; none when it can
    figures: ModelFigures | None = None
    remark: Reason = NO_REASON  # what to know, though it can be installed


class Access(StrEnum):
    """Whether we may have the bytes of a model, and what is missing."""

    OPEN = "open"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - no secret
    LICENCE_MISSING = "licence_missing"  # accept it at the source, then ask again
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Everything a source tells of one model. `card` is raw Markdown of strangers."""

    listed: Listed
    revision: str = ""
    access: Access = Access.OPEN
    access_note: str = ""
    license_url: str = ""
    architectures: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    card: str = ""


class Catalogue(Protocol):
    """A place where models are found. Raises the refusals above; `CatalogueChanged`
    where the source no longer looks as it did. Each call ends within 15 s."""

    source: str

    def trending(self, limit: int) -> ListPage: ...

    def newest(self, limit: int) -> ListPage: ...

    def search(
        self,
        query: str,
        *,
        limit: int,
        cursor: str = "",
        author: str = "",
        filters: tuple[str, ...] = (),
        sort: str = "",
    ) -> ListPage: ...

    def details(self, name: str, revision: str = "") -> Details: ...
