"""What a look at a part of the installation finds, and the looks at the database.

`/readyz` and `manage.py prepare` need no more; `venom_site/doctor.py` has the other
looks. A look changes nothing, and a finding never holds a password.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.loader import MigrationLoader

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look saw: a sentence, and what to do about it when it is not well."""

    level: Level
    name: str
    sentence: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def ok(name: str, sentence: str) -> Finding:
    return Finding(level="ok", name=name, sentence=sentence)


def warn(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(level="warn", name=name, sentence=sentence, remedy=remedy)


def bad(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(level="bad", name=name, sentence=sentence, remedy=remedy)


def database_place() -> str:
    """How people call this database; never its password."""
    known = settings.DATABASES["default"]
    if settings.IS_SQLITE:
        return f"The database file {known['NAME']}"
    host, port = known.get("HOST") or "localhost", known.get("PORT") or 5432
    return f"The database at {host}:{port}"


# What a driver says → what it means to a person, and what helps. The texts are those
# of SQLite 3.40 and of libpq 16 through psycopg 3.
DATABASE_WORDS: tuple[tuple[str, str, str], ...] = (
    ("readonly database", "is read-only.", "Let this user write to it."),
    ("attempt to write", "is read-only.", "Let this user write to it."),
    ("disk is full", "cannot grow: the disk is full.", "Free some space."),
    ("disk I/O error", "cannot be written.", "Free some space and check the disk."),
    ("is locked", "is locked by another program.", "End the program that holds it."),
    ("unable to open", "cannot be opened.", "Check that its folder can be written."),
    ("not a database", "is damaged.", "Put a backup in its place, or move it away."),
    ("malformed", "is damaged.", "Put a backup in its place, or move it away."),
    ("no such table", "has no tables yet.", "Run: python3 manage.py prepare"),
    ("password", "refuses our name and password.", "Check DATABASE_URL."),
    ("authentication", "refuses our name and password.", "Check DATABASE_URL."),
    ("does not exist", "lacks what we need.", "Create it, or check DATABASE_URL."),
    ("too many c", "takes no more connections.", "Raise its max_connections."),
    ("permission denied", "does not let us work in it.", "Grant our user its rights."),
)
AWAY = ("does not answer.", "Start it, or check DATABASE_URL.")


def explain(error: BaseException) -> tuple[str, str]:
    """A sentence that names the database and what is wrong, and a remedy."""
    text = str(error)
    for words, meaning, remedy in DATABASE_WORDS:
        if words in text:
            return f"{database_place()} {meaning}", remedy
    return f"{database_place()} {AWAY[0]}", AWAY[1]


def connect_plainly(*, lock_seconds: float = 20) -> None:
    """For the one process of a command, before its first query: no pool, which retries
    for ten seconds and hides the reason, and no long wait for SQLite's lock."""
    if connection.connection is not None:
        return
    options = connection.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if settings.IS_SQLITE:
        options["timeout"] = lock_seconds


def database() -> Finding:
    """Reads, and takes the write lock for a moment: a full or read-only one fails."""
    began = time.monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            if settings.IS_SQLITE and not connection.in_atomic_block:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("ROLLBACK")
    except (DatabaseError, InterfaceError) as error:
        return bad("database", *explain(error))
    spent = round((time.monotonic() - began) * 1000)
    return ok("database", f"{database_place()} answers in {spent} ms.")


def unapplied() -> list[str]:
    """Migrations that this code brings and the database lacks, `app.name` each."""
    loader = MigrationLoader(connection)
    missing = set(loader.disk_migrations or ()) - set(loader.applied_migrations or ())
    return sorted(f"{app}.{name}" for app, name in missing)


def migrations() -> Finding:
    missing = unapplied()
    if not missing:
        return ok("migrations", "Every table is up to date.")
    sentence = f"{len(missing)} changes of the tables are missing ({missing[0]} first)."
    return bad("migrations", sentence, "Run: python3 manage.py prepare")
