"""A test that commits leaves nothing behind but what belongs to the code."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from tests.factories import OperationFactory
from tests.quick_flush import empty_tables, tables
from venom_site.lib.access import GROUPS


def rows() -> int:
    count = 0
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")
            count += cursor.fetchone()[0]
    return count


@pytest.mark.django_db(transaction=True)
def test_rows_go_and_groups_with_their_permissions_stay(make_user):
    make_user("Operator")
    OperationFactory(running=True)
    assert rows() > 2

    empty_tables()

    assert rows() == 0
    assert not User.objects.exists()
    assert {group.name for group in Group.objects.all()} == set(GROUPS)
    assert Permission.objects.filter(group__name="Operator").exists()


@pytest.mark.django_db(transaction=True)
def test_the_next_test_finds_nothing():
    assert rows() == 0
