"""What every provider of models can be asked, and the shape of the answers.

A provider is where models come from and whose store holds them: list, measure, fetch,
describe, remove. Adapters speak the product's words; the vendor's stay in
`venom_site/clients`. They never touch the database. Why they refuse, and what is wrong
with a model, is a `Reason` where the words are ours: the reader's language says it.

`revision` is given where the source has several of one name; empty is the present one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from models_app.providers.figures import ModelFigures
from models_app.reasons import NO_REASON, Reason
from venom_site.lib.errors import Conflict, Message, NotFound, UpstreamFailed

Check = Callable[[], None]


class ModelNotFound(NotFound):
    """The source has no model of this name."""

    code = "model_not_found"


class AccessDenied(UpstreamFailed):
    """The source refused: private, gated or signed out."""

    code = "access_denied"


class DiskFull(Conflict):
    """The store's disk is full; what came so far is kept."""

    code = "disk_full"


class StoreReadOnly(Conflict):
    """The folder that models go to cannot be written."""

    code = "store_read_only"


class UnsafeFile(Conflict):
    """The source names a file that must not be written."""

    code = "unsafe_file"


class DigestMismatch(UpstreamFailed):
    """The bytes that came are not those that were promised."""

    code = "digest_mismatch"


class UnsupportedModel(Conflict):
    """This server cannot run what the name stands for."""

    code = "unsupported_model"


class ProviderAway(UpstreamFailed):
    """It does not answer, or broke off: passing, asking again helps."""

    code = "provider_unreachable"


class SourceBusy(ProviderAway):
    """It asked us to wait; `wait_seconds` says for how long."""

    code = "source_busy"

    def __init__(self, message: Message = "", *, wait_seconds: float = 60) -> None:
        super().__init__(message, wait_seconds=wait_seconds)
        self.wait_seconds = wait_seconds


class CatalogueChanged(UpstreamFailed):
    """The source answers in a shape that nobody here can read any more."""

    code = "catalogue_changed"


class GatedModel(AccessDenied):
    """Its owner decides who may have it; `missing` is token, access or licence."""

    code = "gated_model"
    http_status = 409


class NoWeights(Conflict):
    """The source has no files of this model that its runtime could load."""

    code = "no_weights"


class ProviderFailed(UpstreamFailed):
    """It answered with an error that asking again would not change."""

    code = "provider_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the source promises for a name, before anything is fetched.

    `digest` is what `FoundModel.digest` will be; `parts` are (digest, bytes) in the
    order in which they come.
    """

    digest: str
    size_bytes: int
    parts: tuple[tuple[str, int], ...] = ()
    name: str = ""  # how the source writes the name, where letter case is free
    complaint: Reason = NO_REASON  # why this cannot run here; none when it can
    revision: str = ""  # the commit that is pinned, where the source has commits
    remark: Reason = NO_REASON  # what to know, though it can be installed


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model as the store lists it now."""

    name: str
    digest: str
    size_bytes: int | None
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    format: str = ""
    modified_at: datetime | None = None
    is_remote: bool = False
    revision: str = ""
    path: str = ""
    files: tuple[dict[str, str | int], ...] = ()
    is_foreign: bool = False  # lies where we never write
    error: Reason = NO_REASON  # what is wrong with the folder; none: it is whole


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfModel:
    """A fetch that has not ended, as the disk has it; bytes that lie there."""

    name: str
    revision: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the provider knows of an installed model; None where it does not say."""

    context_length: int | None = None
    license: str = ""
    supports_chat: bool | None = None
    supports_embedding: bool | None = None
    supports_system_role: bool | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    supports_thinking: bool | None = None
    allowed_roles: tuple[str, ...] = ()
    template: str = ""
    figures: ModelFigures | None = None
    sources: dict[str, str] | None = None  # field of this class → CapabilitySource


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchNews:
    """One step of a fetch. `phase` is resolving, downloading, verifying or
    registering; while downloading `part` names what comes, in bytes of that part."""

    phase: str
    part: str = ""
    done: int = 0
    total: int = 0
    words: str = ""  # a sentence for the log, where there is something to tell


class Provider(Protocol):
    """One source and its store; kept between calls, safe from several threads."""

    source: str  # where it fetches from, for people: registry.ollama.ai
    # Whether we fetch into a store of our own. Then a refusal of the source is final,
    # what lies on the disk is known, and its store cannot be away.
    is_own_store: bool

    def canonical_name(self, name: str) -> str:
        """The name as the store writes it; raises ValueError with what is wanted."""
        ...

    def measure(self, name: str, revision: str = "") -> Manifest | None:
        """What the source promises, within about 5 s; None where it cannot be asked
        for this name. Raises `ModelNotFound`, `AccessDenied` or `ProviderAway`."""
        ...

    def list_installed(self) -> list[FoundModel]:
        """What the store holds now; raises `ProviderAway` or `ProviderFailed`."""
        ...

    def describe(self, name: str, revision: str = "") -> Description:
        """What is known of an installed model; raises as `list_installed`."""
        ...

    def fetch(
        self,
        name: str,
        revision: str = "",
        *,
        tell: Callable[[FetchNews], None],
        check: Check,
    ) -> None:
        """Bring it into the store, going on where an earlier fetch ended.

        `check` is called at least five times a second; when it raises, fetching ends at
        once and what came is kept. Raises one of the refusals above.
        """
        ...

    def remove(self, name: str, revision: str = "", *, check: Check) -> None:
        """Take it out of memory and store; one that is gone already is fine."""
        ...

    def list_partials(self) -> list[HalfModel]:
        """Half fetches on our disk; none where another program keeps them."""
        ...

    def discard(self, name: str, revision: str = "") -> int:
        """Delete what an unfinished fetch has left, where the store is ours; the bytes
        that this frees."""
        ...

    def discard_note(self, name: str) -> str:
        """What becomes of the bytes of a fetch that nobody will go on with."""
        ...

    def store_folder(self) -> Path | None:
        """A folder on the disk that holds the store; None where that is unknown."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...
