"""What the Hub and the downloader say, in the product's words: refusals and names.

Each refusal is a reason (`models_app/reasons.py`), said in the reader's language, and
names the next step.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from models_app.providers.base import (
    AccessDenied,
    CatalogueChanged,
    DigestMismatch,
    DiskFull,
    GatedModel,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
    StoreReadOnly,
    UnsafeFile,
)
from models_app.reasons import Reason, because, said
from venom_site.clients.downloads import DownloadRefused
from venom_site.clients.huggingface import HubRefused, HubUnreadable
from venom_site.lib.errors import VenomError, WireError

LONGEST_PART = 96
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
NAME_WANTED = _(
    "must be owner/name as the Hub writes it: letters, digits, - _ and ., at most 96 "
    "of each, without -- or .."
)
REVISION_APART = _(
    "must be owner/name alone: a branch, tag or commit is chosen by revision, as in "
    '"revision": "main"'
)


def canonical_name(name: str) -> str:
    """The name if the Hub could have it; raises ValueError with what is wanted."""
    if "@" in name or ":" in name:
        raise ValueError(REVISION_APART)
    parts = name.split("/")
    is_short = all(len(part) <= LONGEST_PART for part in parts)
    if not is_short or not _NAME.fullmatch(name) or "--" in name or ".." in name:
        raise ValueError(NAME_WANTED)
    return name


def hub_refusal(
    error: WireError, name: str, page: str, *, has_token: bool
) -> VenomError:
    """What the Hub said of `name`, whose page for people is `page`."""
    if isinstance(error, HubUnreadable):
        return CatalogueChanged(because("hub_unreadable", words=str(error)))
    source = urlsplit(page).netloc
    if not isinstance(error, HubRefused):
        kind = ProviderFailed if error.permanent else ProviderAway
        return kind(_of_the_wire(error, source))
    if error.case == "busy":
        wait = round(error.wait_seconds)
        reason = because("source_busy", source=source, seconds=wait)
        return SourceBusy(reason, wait_seconds=error.wait_seconds)
    if error.case == "gated":
        return gated(name, page, has_token=has_token)
    if error.case == "token":
        return AccessDenied(because("hub_token", source=source, name=name))
    if error.case == "disabled":
        reason = because("hub_disabled", source=source, name=name, page=page)
        return AccessDenied(reason)
    return ModelNotFound(_missing(error, name, page, has_token=has_token))


def _of_the_wire(error: WireError, source: str) -> Reason:
    """The two that everybody meets in our words; the others as they were said."""
    if error.reason_code == "FALLBACK_TIMEOUT":
        return because("source_slow", source=source)
    if str(error).startswith("Nothing answers"):
        return because("source_offline", source=source)
    return said(str(error))


def _missing(error: HubRefused, name: str, page: str, *, has_token: bool) -> Reason:
    if error.case == "revision":
        return because("no_revision", name=name, page=page)
    if error.case == "file":
        return because("file_gone", name=name)
    why = "missing_or_hidden" if has_token else "missing_or_private"
    return because(why, name=name, page=page)


def gated(name: str, page: str, *, has_token: bool) -> GatedModel:
    why = "gated_without_licence" if has_token else "gated_without_token"
    missing = "licence" if has_token else "token"
    return GatedModel(because(why, name=name, page=page), missing=missing, url=page)


def download_refusal(
    error: DownloadRefused, name: str, page: str, *, has_token: bool
) -> VenomError:
    """How fetching its files ended badly."""
    if error.case == "access":
        return gated(name, page, has_token=has_token)
    if error.case == "busy":
        return SourceBusy(str(error), wait_seconds=error.wait_seconds or 2)
    kind, why = _ENDINGS.get(error.case, (ProviderFailed, ""))
    words = str(error)
    return kind(because(why, words=words) if why else said(words))


_ENDINGS: dict[str, tuple[type[VenomError], str]] = {
    "away": (ProviderAway, ""),
    "missing": (ModelNotFound, "download_missing"),
    "changed": (DigestMismatch, "download_changed"),
    "digest": (DigestMismatch, "download_wrong"),
    "size": (DigestMismatch, "download_wrong"),
    "disk_full": (DiskFull, "download_disk_full"),
    "read_only": (StoreReadOnly, "download_read_only"),
    "unsafe_path": (UnsafeFile, "download_unsafe"),
}
