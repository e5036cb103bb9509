"""The scheduled care of kept answers: refresh what people look at, forget the rest.

Run by beat every 30 minutes and once a day. Two beats are harmless: a list is asked for
by whoever claims its row, and one that is fresh is not asked for at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.utils import timezone

from models_app.choices import PROFILE_PROVIDERS
from models_app.models import CatalogEntry, CatalogPause
from models_app.providers.catalogues import SOURCES
from models_app.services import catalog_questions, kept_answers, kept_rows, news
from models_app.services.kept_answers import Ask

logger = logging.getLogger(__name__)

LOOKED_AT = timedelta(hours=24)
FORGOTTEN_AFTER = timedelta(days=30)
TYPED_FORGOTTEN_AFTER = timedelta(days=7)
# A list that grows old before the next run is refreshed in this one.
SOON_OLD = timedelta(minutes=5)

# How a key is asked again, by source; None for what is not asked by itself.
Reader = Callable[[str], Ask | None]


def _asking(source: str, key: str) -> Ask | None:
    question = catalog_questions.read_key(source, key)
    return partial(catalog_questions.ask, question) if question else None


READERS: dict[str, Reader] = {each: partial(_asking, each) for each in SOURCES}
READERS |= {each: partial(news.reader, each) for each in news.SOURCES}


def refresh_viewed() -> int:
    """Ask again for every old list that somebody looked at within a day; how many were
    brought up to date. One after the other, as polite as a single reader."""
    return sum(_refresh(row) for row in _old_rows())


def _old_rows() -> list[CatalogEntry]:
    now = timezone.now()
    rows = CatalogEntry.objects.filter(
        viewed_at__gt=now - LOOKED_AT,
        fetched_at__lte=now - kept_answers.FRESH + SOON_OLD,
        source__in=READERS,
    )
    if not PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]:
        rows = rows.exclude(source__in=SOURCES)
    return list(rows.order_by("source", "-viewed_at"))


def _refresh(row: CatalogEntry) -> bool:
    ask = READERS[row.source](row.key)
    if ask is None or kept_answers.pause_of(row.source) is not None:
        return False
    return not kept_answers.brought_up_to_date(row, ask, refresh=True).stale


def forget_unused() -> int:
    """Drop answers that nobody has looked at for long; how many went."""
    now = timezone.now()
    unused = CatalogEntry.objects.filter(viewed_at__lt=now - FORGOTTEN_AFTER)
    gone, _by_kind = unused.delete()
    for word in kept_rows.PASSING:
        typed = CatalogEntry.objects.filter(
            key__startswith=word, viewed_at__lt=now - TYPED_FORGOTTEN_AFTER
        )
        gone += typed.delete()[0]
    CatalogPause.objects.filter(until__lt=now - LOOKED_AT).delete()
    if gone:
        logger.info("kept answers forgotten count=%s", gone)
    return gone
