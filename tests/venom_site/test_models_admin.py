"""Installed models in the admin: looked at in few queries, removed by the service."""

from __future__ import annotations

import pytest
from django.urls import reverse

from models_app.models import InstalledModel, Operation
from tests.factories import CapabilitiesFactory, InstalledModelFactory, NodeFactory

pytestmark = pytest.mark.django_db

LIST = reverse("admin:models_app_installedmodel_changelist")
MOST_QUERIES = 12


def page_of(model):
    return reverse("admin:models_app_installedmodel_change", args=[model.pk])


def remove(client, *models, **more):
    chosen = [str(model.pk) for model in models]
    return client.post(
        LIST, {"action": "remove", "_selected_action": chosen} | more, follow=True
    )


def test_the_list_costs_the_same_however_many_nodes(
    staff, django_assert_max_num_queries
):
    for number in range(12):
        node = NodeFactory(name=f"shed{number}")
        CapabilitiesFactory(model=InstalledModelFactory(node=node))
    client = staff("Viewer")

    with django_assert_max_num_queries(MOST_QUERIES):
        answer = client.get(LIST)

    assert b"practice" in answer.content
    assert b"815" in answer.content
    assert b"Installed" in answer.content


def test_a_model_is_shown_with_what_it_can_do(staff, django_assert_max_num_queries):
    model = CapabilitiesFactory(
        model=InstalledModelFactory(name="gemma3:4b"), prompt_template="Q: {message}"
    ).model
    client = staff("Viewer")

    with django_assert_max_num_queries(MOST_QUERIES):
        answer = client.get(page_of(model))

    assert answer.status_code == 200
    assert b"Q: {message}" in answer.content
    assert model.get_absolute_url().encode() in answer.content


@pytest.mark.parametrize("query", ["gemma", "x' \" %", "é", "0" * 300])
def test_it_can_be_searched_for_anything(staff, query):
    InstalledModelFactory(name="gemma3:4b")

    answer = staff("Viewer").get(LIST, {"q": query})

    assert answer.status_code == 200
    assert (b"gemma3:4b" in answer.content) == (query == "gemma")


def test_nobody_changes_a_row_by_hand(staff):
    model = InstalledModelFactory(name="gemma3:4b")
    client = staff("Admin")

    assert client.post(page_of(model), {"name": "other"}).status_code == 403
    gone = reverse("admin:models_app_installedmodel_delete", args=[model.pk])
    assert client.post(gone, {"post": "yes"}).status_code == 403
    assert InstalledModel.objects.get().name == "gemma3:4b"


def test_removing_asks_first_and_then_goes_through_the_service(staff):
    model = InstalledModelFactory(name="gemma3:4b")
    client = staff("Operator")

    asked = remove(client, model)
    assert b"gemma3:4b" in asked.content
    assert not Operation.objects.exists()

    remove(client, model, confirmed="yes")
    operation = Operation.objects.get()
    assert (operation.operation_type, operation.model_name) == ("remove", "gemma3:4b")
    assert operation.started_by == "operator"


def test_one_that_may_not_go_says_why_and_holds_up_no_other(staff):
    pinned = InstalledModelFactory(name="pinned:1b", pinned=True)
    free = InstalledModelFactory(name="free:1b")

    answer = remove(staff("Operator"), pinned, free, confirmed="yes")

    assert "is pinned. Unpin it first." in answer.content.decode()
    assert Operation.objects.get().model_name == "free:1b"


def test_who_only_looks_cannot_remove(staff):
    model = InstalledModelFactory(name="gemma3:4b")

    remove(staff("Viewer"), model, confirmed="yes")

    assert not Operation.objects.exists()
