"""Text compared without case, by an index, on PostgreSQL and SQLite alike.

`Folded("name")` stands in `Meta.indexes` and in queries: the same words, so that the
database knows the one in the other. PostgreSQL compares by bytes (`COLLATE "C"`), since
in a language's order what begins with a text is no range; SQLite folds ASCII only.
"""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, Func, Q, Value
from django.db.models.functions import Upper
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThan

_LAST_CHARACTER = "\U0010ffff"


class Folded(Func):
    """A column as it is compared and ordered without case."""

    arity = 1
    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        extra["template"] = "%(expressions)s COLLATE NOCASE"
        return self.as_sql(compiler, connection, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        extra["template"] = 'UPPER(%(expressions)s) COLLATE "C"'
        return self.as_sql(compiler, connection, **extra)


def is_text(column: str, text: str) -> Q:
    return Q(Exact(Folded(column), Upper(Value(text))))


def begins_with(column: str, text: str) -> Q:
    """A range and not LIKE: nothing to escape, and every planner takes the index."""
    first, last = Upper(Value(text)), Upper(Value(text + _LAST_CHARACTER))
    return Q(GreaterThanOrEqual(Folded(column), first)) & Q(
        LessThan(Folded(column), last)
    )
