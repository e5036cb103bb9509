"""Celery's entry points of the ground floor: one service call each."""

from __future__ import annotations

from celery import shared_task

from history_app.services import lost, retention


@shared_task(name="history_app.mark_lost_requests")
def mark_lost_requests() -> None:
    lost.mark_lost_requests()


@shared_task(name="history_app.apply_retention")
def apply_retention() -> None:
    retention.apply_retention()
