"""The admin: read-only histories, few queries, actions through the services."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from history_app import audit
from history_app.models import AuditEntry, RequestRecord
from models_app.choices import OperationStatus
from models_app.models import Node, Operation
from models_app.services.operation_rows import write_log
from runtime_app.governance import keys
from runtime_app.models import (
    Activation,
    Alert,
    ApiKey,
    MachineSample,
    Runtime,
    RuntimeSample,
    Trial,
)
from tests.factories import AlertFactory, OperationFactory, RuntimeFactory
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.admin_base import MOST_COUNTED, BoundedPaginator

pytestmark = pytest.mark.django_db

MODELS = (
    Operation,
    Node,
    Runtime,
    Activation,
    Alert,
    ApiKey,
    RequestRecord,
    AuditEntry,
    RuntimeSample,
    MachineSample,
    Trial,
)
HISTORIES = (
    Operation,
    Activation,
    Alert,
    RequestRecord,
    AuditEntry,
    RuntimeSample,
    MachineSample,
    Trial,
)
MOST_QUERIES = 12


@pytest.fixture
def rows():
    """A few of everything; returns a running operation."""
    runtime = RuntimeFactory(online=True, encrypted_key="gAAAA-encrypted-thing")
    for number in range(5):
        OperationFactory(failed=True)
        AlertFactory()
        keys.create_key(f"bot{number}", [Scope.READ], actor=SYSTEM)
        RequestRecord.objects.create(
            request_id=f"r{number}", prompt_preview="my private prompt"
        )
        Activation.objects.create(
            node=runtime.node, runtime=runtime, model_name="m", state="former"
        )
        at = timezone.now() - timedelta(seconds=10 * number)
        RuntimeSample.objects.create(runtime=runtime, at=at, status="online")
        MachineSample.objects.create(
            node=runtime.node, at=at, memory_used_bytes=1, memory_total_bytes=2
        )
        Trial.objects.create(node=runtime.node, runtime="ollama", model_name="m")
    return OperationFactory(running=True)


def list_url(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_url(row):
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return reverse(name, args=[row.pk])


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_at_most_twelve_queries(staff, rows, model):
    client = staff("Admin")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(list_url(model))

    assert answer.status_code == 200
    assert len(queries) <= MOST_QUERIES, [q["sql"] for q in queries]


@pytest.mark.parametrize("model", MODELS)
def test_every_row_has_a_page_and_a_search(staff, rows, model):
    client = staff("Admin")
    row = model.objects.first()

    assert client.get(page_url(row)).status_code == 200
    assert client.get(list_url(model), {"q": "x' \" % é"}).status_code == 200


@pytest.mark.parametrize("model", HISTORIES)
def test_a_history_can_be_changed_by_nobody(staff, rows, model):
    client = staff("Admin")
    User.objects.update(is_superuser=True)
    row = model.objects.first()
    before = model.objects.count()

    answers = [
        client.get(reverse(list_url_name(model, "add"))),
        client.post(page_url(row), {"status": "completed"}),
        client.post(reverse(list_url_name(model, "delete"), args=[row.pk])),
        client.post(
            list_url(model),
            {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
        ),
    ]

    assert [answer.status_code for answer in answers][:3] == [403, 403, 403]
    assert model.objects.count() == before


def list_url_name(model, what):
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}"


def test_staff_without_a_group_see_nothing(make_user, rows):
    User.objects.create_user("x", is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username="x"))

    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(list_url(Operation)).status_code == 403


def test_a_viewer_sees_operations_but_neither_keys_nor_people(staff, rows):
    client = staff("Viewer")

    assert client.get(list_url(Operation)).status_code == 200
    assert client.get(list_url(ApiKey)).status_code == 403
    assert client.get(list_url(User)).status_code == 403
    assert staff_can_edit(client, User.objects.first()) is False


def staff_can_edit(client, row):
    return client.post(page_url(row), {"is_superuser": "on"}).status_code != 403


def test_no_secret_is_shown(staff, rows):
    client = staff("Admin")
    key_page = client.get(page_url(ApiKey.objects.first())).content.decode()
    runtime_page = client.get(page_url(Runtime.objects.first())).content.decode()

    assert ApiKey.objects.first().key_hash not in key_page
    assert ApiKey.objects.first().prefix in key_page
    assert "gAAAA" not in runtime_page
    assert ">set<" in runtime_page


def test_contents_are_for_those_who_may_read_them(staff, rows):
    page = page_url(RequestRecord.objects.first())

    assert b"my private prompt" in staff("Governor").get(page).content
    assert b"my private prompt" not in staff("Operator").get(page).content


def test_an_operation_shows_its_last_fifty_log_lines(staff, rows):
    for number in range(60):
        write_log(rows.pk, f"line number {number};")

    page = staff("Viewer").get(page_url(rows)).content.decode()

    assert "line number 59;" in page
    assert "line number 10;" in page
    assert "line number 9;" not in page
    assert reverse("operation-detail", args=[rows.pk]) in page


def test_an_action_asks_first_and_then_calls_the_service(staff, rows):
    client = staff("Operator")
    OperationFactory()
    waiting = Operation.objects.pending().get()
    wish = {"action": "cancel", "_selected_action": [str(waiting.pk)]}

    asked = client.post(list_url(Operation), wish)

    waiting.refresh_from_db()
    assert asked.status_code == 200
    assert b'value="yes"' in asked.content
    assert waiting.status == OperationStatus.PENDING
    done = client.post(list_url(Operation), wish | {"confirmed": "yes"}, follow=True)
    waiting.refresh_from_db()
    assert waiting.status == OperationStatus.CANCELLED
    assert str(waiting.get_absolute_url()) in done.content.decode()
    entry = AuditEntry.objects.get(verb="operation.cancel")
    assert (entry.actor, entry.channel) == ("operator", "admin")


def test_what_a_service_refuses_is_shown_as_its_sentence(staff, rows):
    client = staff("Operator")
    failed = Operation.objects.filter(status=OperationStatus.FAILED).first()
    wish = {
        "action": "cancel",
        "_selected_action": [str(failed.pk)],
        "confirmed": "yes",
    }

    done = client.post(list_url(Operation), wish, follow=True)

    assert b"already ended" in done.content


def test_a_viewer_is_offered_no_action(staff, rows):
    client = staff("Viewer")
    wish = {
        "action": "cancel",
        "_selected_action": [str(rows.pk)],
        "confirmed": "yes",
    }

    assert b'value="cancel"' not in client.get(list_url(Operation)).content
    client.post(list_url(Operation), wish)
    rows.refresh_from_db()
    assert not rows.cancel_requested


def test_a_governor_revokes_keys_here(staff, rows):
    row = ApiKey.objects.get(name="bot1")
    wish = {"action": "revoke", "_selected_action": [str(row.pk)], "confirmed": "yes"}

    staff("Governor").post(list_url(ApiKey), wish)

    row.refresh_from_db()
    assert row.revoked_at is not None


def test_audit_values_are_shown_masked(staff):
    audit.record(SYSTEM, "x.y", "x", 1, after={"url": "http://u:geheim@h/"})

    page = staff("Admin").get(page_url(AuditEntry.objects.get())).content

    assert b"geheim" not in page


def test_the_paginator_counts_no_further_than_it_must(django_assert_num_queries):
    with CaptureQueriesContext(connection) as queries:
        assert BoundedPaginator(AuditEntry.objects.all(), 50).count == 0

    assert f"LIMIT {MOST_COUNTED}" in queries[0]["sql"]


def test_every_admin_page_derives_from_our_base():
    from venom_site.lib.admin_base import ScopedMixin

    strangers = [
        str(model)
        for model, page in admin.site._registry.items()
        if not isinstance(page, ScopedMixin)
    ]
    assert strangers == []
