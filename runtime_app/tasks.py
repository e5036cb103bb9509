"""Celery's entry points of the upper floor: an id in, one service call."""

from __future__ import annotations

from celery import shared_task

from models_app.services import claims, idempotency
from runtime_app.monitoring import alerts, health, sampler, thinning
from runtime_app.services import (
    activating,
    chat_retention,
    drain,
    loading,
    server_logs,
    server_operations,
    server_restart,
    task_rows,
    trials,
    unloading,
)


@shared_task(name="runtime_app.fan_out_health")
def fan_out_health() -> None:
    health.fan_out()


@shared_task(name="runtime_app.check_health")
def check_health() -> None:
    health.check_node()


@shared_task(name="runtime_app.fan_out_samples")
def fan_out_samples() -> None:
    sampler.fan_out()


@shared_task(name="runtime_app.sample_node")
def sample_node() -> None:
    sampler.sample_node()


@shared_task(name="runtime_app.thin_samples")
def thin_samples() -> None:
    thinning.thin()


@shared_task(name="runtime_app.close_alerts")
def close_alerts() -> None:
    alerts.close_what_cleared()


@shared_task(name="runtime_app.run_activation")
def run_activation(pk: str) -> None:
    claims.carry_out(pk, activating.perform_activation)


@shared_task(name="runtime_app.run_load")
def run_load(pk: str) -> None:
    claims.carry_out(pk, loading.perform_load)


@shared_task(name="runtime_app.run_unload")
def run_unload(pk: str) -> None:
    claims.carry_out(pk, unloading.perform_unload)


@shared_task(name="runtime_app.run_trial")
def run_trial(pk: str) -> None:
    claims.carry_out(pk, trials.perform_trial)


@shared_task(name="runtime_app.run_start")
def run_start(pk: str) -> None:
    claims.carry_out(pk, server_operations.perform_start)


@shared_task(name="runtime_app.run_stop")
def run_stop(pk: str) -> None:
    claims.carry_out(pk, server_operations.perform_stop)


@shared_task(name="runtime_app.run_restart")
def run_restart(pk: str) -> None:
    claims.carry_out(pk, server_restart.perform_restart)


@shared_task(name="runtime_app.forget_expired")
def forget_expired() -> None:
    idempotency.forget_expired()
    chat_retention.forget_old_conversations()


@shared_task(name="runtime_app.mark_lost_tasks")
def mark_lost_tasks() -> None:
    task_rows.mark_lost_tasks()
    task_rows.forget_texts()


@shared_task(name="runtime_app.forget_dead_gateways")
def forget_dead_gateways() -> None:
    drain.forget_dead()


@shared_task(name="runtime_app.fan_out_log_rotation")
def fan_out_log_rotation() -> None:
    server_logs.fan_out()


@shared_task(name="runtime_app.rotate_server_logs")
def rotate_server_logs() -> None:
    server_logs.rotate_server_logs()
