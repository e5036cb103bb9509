"""Emptying the database after a test that commits, without Django's `flush`.

More than a thousand tests commit. `flush` truncates every table, for which PostgreSQL
makes all their files anew, and then writes permissions, content types and groups again,
row by row, because it has just dropped them.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.test import TransactionTestCase

# What `migrate` writes: it belongs to the code and not to a test.
_OF_THE_CODE = (ContentType, Permission, Group, Group.permissions.through)
KEPT = {model._meta.db_table for model in _OF_THE_CODE}


def after_a_test(test: TransactionTestCase) -> None:
    """In the place of `TransactionTestCase._fixture_teardown`."""
    names = test._databases_names(include_mirrors=False)  # type: ignore[attr-defined]
    for name in names:
        empty_tables(name)


def empty_tables(using: str = "default") -> None:
    """Delete every row but those of the code."""
    connection = connections[using]
    # Foreign keys are checked at the end, so the order does not matter.
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for table in tables(using):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def tables(using: str = "default") -> list[str]:
    found = connections[using].introspection.django_table_names(
        only_existing=True, include_views=False
    )
    return sorted(set(found) - KEPT)
