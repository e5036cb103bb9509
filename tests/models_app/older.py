"""Making kept answers older, in place of waiting."""

from __future__ import annotations

from datetime import timedelta

from models_app.models import CatalogEntry, CatalogPause


def grow_old(**by) -> None:
    """As if so much time had passed since the sources were asked."""
    for row in CatalogEntry.objects.all():
        row.fetched_at = row.fetched_at and row.fetched_at - timedelta(**by)
        row.asked_at = row.asked_at and row.asked_at - timedelta(**by)
        row.save()
    for pause in CatalogPause.objects.all():
        pause.until -= timedelta(**by)
        pause.save()
