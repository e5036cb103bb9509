"""The root ASGI app: what is hot goes past Django.

`/static/`, `/healthz`, the gateway `/v1/…` and open streams are plain ASGI: Django's
handler keeps a thread per request in flight (facts, gateway cost).
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "venom_site.settings")

from django.core.asgi import get_asgi_application

django_app = get_asgi_application()

from venom_site.lib import static


async def http(scope: Any, receive: Any, send: Any) -> None:
    path: str = scope["path"]
    if path.startswith("/static/"):
        await static.app(scope, receive, send)
    else:
        await django_app(scope, receive, send)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await http(scope, receive, send)
