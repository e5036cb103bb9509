"""What foreign sources answered, kept so that no page waits for them.

An answer is fresh for 30 minutes. After that one caller of all processes asks the
source, the others wait for it; a source that fails or asks for a rest is left alone and
the old copy is shown with what went wrong. Called by `catalog.py` and `news.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from models_app.models import CatalogEntry, CatalogPause
from models_app.providers.base import CatalogueChanged, ProviderAway, SourceBusy
from models_app.reasons import kept_words, read_stored
from models_app.services import kept_rows
from venom_site.lib.errors import VenomError, WireError

logger = logging.getLogger(__name__)

FRESH = timedelta(minutes=30)
WAIT_SECONDS = 16.0
LOOK_SECONDS = 0.15

Ask = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer and how good it is.

    `payload` is None where there never was one. `stale`: older than 30 minutes, or the
    source failed since. `error` says why, to its reader; `error_code` is the adapters'.
    `next_try_at` is None where the source may be asked now. `is_due`: when somebody
    looks, it should be asked. `asked_seconds_ago` is told to who wished a refresh so
    soon after another that nobody was asked for it, and None else.
    """

    payload: Any | None
    fetched_at: datetime | None
    stale: bool
    error: str = ""
    error_code: str = ""
    next_try_at: datetime | None = None
    is_due: bool = False
    is_refreshing: bool = False
    asked_seconds_ago: int | None = None

    @property
    def pause_seconds(self) -> int:
        """How long lies between two calls to a source for the same."""
        return round(kept_rows.BETWEEN_CALLS.total_seconds())

    @property
    def age_seconds(self) -> float | None:
        if self.fetched_at is None:
            return None
        return max(0.0, (timezone.now() - self.fetched_at).total_seconds())


def kept(
    source: str, key: str, ask: Ask, *, refresh: bool = False, wait: bool = True
) -> Kept:
    """The answer of this source to this question; never raises what `ask` raises.

    `ask` returns JSON within 15 s or raises a refusal of `providers/base.py`. With
    `refresh` also a fresh copy is asked for again, but no source more than once in 10 s
    for the same key, and none that asked us to wait. With `wait=False` nothing is
    asked: what is kept, at once.
    """
    key = kept_rows.bounded_key(key)
    row = kept_rows.row_of(source, key)
    if not wait:
        if row is not None:
            kept_rows.mark_viewed(row)
        return _told(row, pause_of(source))
    if row is None:
        row = kept_rows.make_row(source, key)
    kept_rows.mark_viewed(row)
    return brought_up_to_date(row, ask, refresh=refresh)


def brought_up_to_date(row: CatalogEntry, ask: Ask, *, refresh: bool = False) -> Kept:
    """As `kept`, for a row that is there; nobody has looked at it for that."""
    pause = pause_of(row.source)
    now = _told(row, pause)
    if not (now.is_due or (refresh and _may_be_asked(pause))):
        return now
    until = kept_rows.claim(row)
    if until is not None:
        _ask(row, until, ask)
    else:
        _wait_for_another(row)
    row = kept_rows.row_of(row.source, row.key) or row
    told = _told(row, pause_of(row.source))
    if until is not None or not refresh or row.asked_at is None:
        return told
    ago = (timezone.now() - row.asked_at).total_seconds()
    return replace(told, asked_seconds_ago=max(0, round(ago)))


def _ask(row: CatalogEntry, until: datetime, ask: Ask) -> None:
    """Whatever happens, the claim is given back."""
    try:
        payload = _storable(row.source, ask())
    except (VenomError, WireError) as error:
        _note(row, until, error)
    except BaseException:
        kept_rows.release(row, until)
        raise
    else:
        kept_rows.keep(row, until, payload)


def _storable(source: str, payload: Any) -> Any:
    try:
        return kept_rows.storable(payload)
    except ValueError as error:
        raise CatalogueChanged(f"{source}: {error}") from None


def _note(row: CatalogEntry, until: datetime, error: VenomError | WireError) -> None:
    """What asking again would not change rests by itself; a source that is away or
    busy is left alone with all its questions."""
    code = error.code if isinstance(error, VenomError) else _wire_code(error)
    logger.warning("source failed source=%s key=%s code=%s", row.source, row.key, code)
    words = kept_words(error)
    kept_rows.note_failure(row, until, code, words)
    if isinstance(error, SourceBusy):
        kept_rows.pause(row.source, code, words, error.wait_seconds)
    elif code == ProviderAway.code:
        kept_rows.pause(row.source, code, words, None)


def _wire_code(error: WireError) -> str:
    return "provider_failed" if error.permanent else ProviderAway.code


def _wait_for_another(row: CatalogEntry) -> None:
    """Until whoever asks is done, has died or takes longer than anybody waits."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        rows = CatalogEntry.objects.filter(
            pk=row.pk, refreshing_until__gt=timezone.now()
        )
        if not rows.exists():
            return
        time.sleep(LOOK_SECONDS)


def pause_of(source: str) -> CatalogPause | None:
    """Why this source is not asked now; None where it may be."""
    rows = CatalogPause.objects.filter(source=source, until__gt=timezone.now())
    return rows.first()


def _may_be_asked(pause: CatalogPause | None) -> bool:
    """A person may try a source that was away, never one that asked for a rest."""
    return pause is None or pause.code != SourceBusy.code


def _told(row: CatalogEntry | None, pause: CatalogPause | None) -> Kept:
    """What the row says, and the pause of its source where that came later."""
    now = timezone.now()
    fetched = row.fetched_at if row else None
    old = fetched is None or fetched <= now - FRESH
    error, code = (row.error, row.error_code) if row else ("", "")
    if pause is not None and old and not error:
        error, code = pause.reason, pause.code
    rests = [pause.until] if pause else []
    if row and row.error_code and row.failed_at and row.asked_at:
        rests.append(row.asked_at + kept_rows.rest_of(row.failed_at, row.asked_at))
    next_try = max((moment for moment in rests if moment > now), default=None)
    wanted = old or bool(code)
    return Kept(
        payload=row.payload if row else None,
        fetched_at=fetched,
        stale=wanted,
        error=str(read_stored(error)),
        error_code=code,
        next_try_at=next_try if wanted else None,
        is_due=wanted and next_try is None,
        is_refreshing=bool(row and row.refreshing_until and row.refreshing_until > now),
    )
