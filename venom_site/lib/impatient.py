"""Writes that are worth nothing late: they do not wait for SQLite's lock as long as
others do. A process that ends must not be held by one of them.
"""

from __future__ import annotations

from django.db import connection

MILLISECONDS = 1000


def be_impatient() -> None:
    """For this thread's connection, until it is closed."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {MILLISECONDS}")
