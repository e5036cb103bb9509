"""The Celery app: queues, the schedule, and what a worker does at start and end.

Tasks live in each app's `tasks.py`; this file is composition only.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import worker_ready, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")

from venom_site.embedded import broker

# Messages are JSON only, so a worker that runs as root (a container) adds no danger
# that the warning speaks of; `doctor` says who runs it.
warnings.filterwarnings("ignore", category=SecurityWarning)
broker.register()
app = Celery("venom")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["history_app", "models_app", "runtime_app"])


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A job whose message is thrown away when the next one is due."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


app.conf.beat_schedule = {
    "operation sweep": _every(5, "models_app.sweep_operations"),
    "runtime health": _every(5, "runtime_app.fan_out_health"),
    "samples": _every(10, "runtime_app.fan_out_samples"),
    "samples grow coarser": _every(60, "runtime_app.thin_samples"),
    "alerts": _every(15, "runtime_app.close_alerts"),
    "model discovery": _every(600, "models_app.fan_out_discovery"),
    "model use": _every(60, "models_app.count_use"),
    "catalogues": _every(1800, "models_app.refresh_catalogues"),
    "kept answers": _every(24 * 3600, "models_app.forget_kept_answers"),
    "lost requests": _every(60, "history_app.mark_lost_requests"),
    "lost tasks": _every(60, "runtime_app.mark_lost_tasks"),
    "dead gateways": _every(15, "runtime_app.forget_dead_gateways"),
    "retention": _every(24 * 3600, "history_app.apply_retention"),
    "server logs": _every(24 * 3600, "runtime_app.fan_out_log_rotation"),
    "housekeeping": _every(3600, "runtime_app.forget_expired"),
}
app.conf.beat_max_loop_interval = 5


@worker_ready.connect
def _at_worker_start(**_: object) -> None:
    from models_app.services import discovery, sweep
    from runtime_app.services import seeding

    sweep.at_worker_start()
    seeding.at_worker_start()
    discovery.at_worker_start()


@worker_shutting_down.connect
def _at_worker_stop(**_: object) -> None:
    from models_app.services.work import DRAINING

    DRAINING.set()


__all__ = ["app"]
