"""Calling plain code, such as the ORM, from code that waits on an event loop.

For whatever is plain ASGI (streams, held answers, sockets). The thread hands its
database connection back before the caller goes on: nobody waits while holding one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")


async def off_loop(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `function`, called in a thread of the loop's pool."""

    def call() -> R:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await sync_to_async(call, thread_sensitive=False)()
