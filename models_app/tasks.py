"""Celery's entry points of the middle floor: an id in, one service call."""

from __future__ import annotations

from celery import shared_task

from models_app.services import claims, probe, sweep


@shared_task(name="models_app.sweep_operations")
def sweep_operations() -> None:
    sweep.sweep_operations()


@shared_task(name="models_app.run_probe")
def run_probe(pk: str) -> None:
    claims.carry_out(pk, probe.perform_probe)
