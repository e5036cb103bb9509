"""Celery's entry points of the upper floor: an id in, one service call."""

from __future__ import annotations

from celery import shared_task

from models_app.services import claims, idempotency
from runtime_app.monitoring import health
from runtime_app.services import activate


@shared_task(name="runtime_app.fan_out_health")
def fan_out_health() -> None:
    health.fan_out()


@shared_task(name="runtime_app.check_health")
def check_health() -> None:
    health.check_node()


@shared_task(name="runtime_app.run_activation")
def run_activation(pk: str) -> None:
    claims.carry_out(pk, activate.perform_activation)


@shared_task(name="runtime_app.forget_expired")
def forget_expired() -> None:
    idempotency.forget_expired()
