"""The daily job on the logs of the servers that this node starts: pack, and forget.

Every node looks after its own files; the beat wakes them through their queues.
"""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings

from models_app.services.nodes import live_names
from runtime_app.models import Runtime
from venom_site.clients import server_logs
from venom_site.lib.queue import send_job

logger = logging.getLogger(__name__)

JOB_LIFE_SECONDS = 3600


def fan_out() -> None:
    """Ask every live node, and always our own, to rotate its logs."""
    for name in live_names():
        send_job(
            "runtime_app.rotate_server_logs",
            queue=f"node.{name}",
            life_seconds=JOB_LIFE_SECONDS,
        )


def rotate_server_logs() -> int:
    """Pack what the logs of this node's servers hold, delete what was put aside before
    VENOM_LOG_RETENTION_DAYS; how many were packed. A log that cannot be packed is a
    warning and stays. May run twice."""
    folder = Path(settings.DATA_DIR) / "logs"
    names = Runtime.objects.filter(node__name=settings.NODE).values_list("name")
    paths = [server_logs.log_path(folder, name) for (name,) in names]
    packed = sum(server_logs.rotate(path) is not None for path in paths)
    gone = server_logs.forget_old(folder, days=settings.ENV.VENOM_LOG_RETENTION_DAYS)
    if packed or gone:
        logger.info("server logs packed=%s deleted=%s", packed, gone)
    return packed
