"""Django system checks: folders, and settings that are unsafe beyond loopback.

`manage.py check` and the start of most commands run them; `prepare` does not.
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register("venom")
def folders(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"The folder {folder} cannot be written.",
            hint="Let this user write to it, or set VENOM_DATA_DIR.",
            id="venom.E001",
        )
        for folder in (settings.DATA_DIR, settings.RUN_DIR)
        if not os.access(folder, os.W_OK | os.X_OK)
    ]


@register("venom")
def debug_is_for_loopback(**_: Any) -> list[CheckMessage]:
    """Debug pages show settings and source to whoever reaches them."""
    beyond = [h for h in settings.ALLOWED_HOSTS if h not in settings.LOOPBACK_HOSTS]
    if not (settings.DEBUG and beyond):
        return []
    return [
        Warning(
            "VENOM_DEBUG is on while others may reach this machine.",
            hint="Switch VENOM_DEBUG off, or empty VENOM_ALLOWED_HOSTS.",
            id="venom.W001",
        )
    ]


@register("venom")
def any_host_is_allowed(**_: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "VENOM_ALLOWED_HOSTS is *: any name may point at this server.",
            hint="Name the hosts, or a foreign page can reach it by DNS rebinding.",
            id="venom.W002",
        )
    ]
