"""Operations as people see them, with and without a script."""

from __future__ import annotations

import re

import pytest

from models_app.models import Operation
from models_app.services import operation_rows
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


def test_the_list_shows_rows_filters_and_the_self_test(page_client):
    running = OperationFactory(running=True)
    failed = OperationFactory(failed=True)

    page = page_client("Operator").get("/operations/").content.decode()

    assert f'id="operation-{running.pk}"' in page
    assert f'id="operation-{failed.pk}"' in page
    assert 'data-topics="ops"' in page
    assert "1 running" in page
    assert "/operations/probe/" in page


def test_the_filter_and_a_wrong_filter(page_client):
    running = OperationFactory(running=True)
    failed = OperationFactory(failed=True)
    client = page_client("Viewer")

    found = client.get("/operations/?status=failed&type=probe").content.decode()

    assert f'id="operation-{failed.pk}"' in found
    assert f'id="operation-{running.pk}"' not in found
    assert client.get("/operations/?status=sleeping&type=x").status_code == 200


def test_the_list_pages_by_cursor(page_client):
    first = OperationFactory()
    OperationFactory.create_batch(30)
    client = page_client("Viewer")
    page = client.get("/operations/").content.decode()
    assert f'id="operation-{first.pk}"' not in page

    older = re.search(r'href="(\?cursor=[^"]+)" rel="next"', page)[1]

    assert f'id="operation-{first.pk}"' in client.get(f"/operations/{older}").text
    assert client.get("/operations/?cursor=*").status_code == 400


def test_a_waiting_row_names_what_it_waits_for(page_client):
    holder = OperationFactory(running=True, lock_key="test-node|probe|a")
    OperationFactory(lock_key="test-node|probe|a")

    page = page_client("Viewer").get("/operations/").content.decode()

    assert f"/operations/{holder.pk}/" in page.split("waits for")[1][:200]


def test_the_list_takes_the_same_queries_however_long(
    page_client, django_assert_max_num_queries
):
    client = page_client("Operator")
    client.get("/operations/")
    for number in range(10):
        lock = f"test-node|probe|{number}"
        OperationFactory(running=True, lock_key=lock)
        OperationFactory(lock_key=lock)

    with django_assert_max_num_queries(14):
        client.get("/operations/")


def test_the_detail_shows_the_log_and_listens_to_itself_only(page_client):
    operation = OperationFactory(failed=True)
    operation_rows.write_log(operation.pk, "Step 1 of 5.")

    page = page_client("Viewer").get(f"/operations/{operation.pk}/").content.decode()

    assert "Step 1 of 5." in page
    assert "probe_told_to_fail" in page
    assert f'data-topics="operation-{operation.pk}"' in page
    assert "/cancel/" not in page


@pytest.mark.parametrize("pk", ["x", "0" * 40, "019a5b1e-0000-7000-8000-000000000000"])
def test_an_impossible_id_is_404(page_client, pk):
    client = page_client("Operator")

    assert client.get(f"/operations/{pk}/").status_code == 404
    assert client.post(f"/operations/{pk}/cancel/").status_code == 404


def test_a_button_answers_htmx_with_its_row_and_a_toast(page_client):
    operation = OperationFactory()

    answer = page_client("Operator").post(
        f"/operations/{operation.pk}/cancel/", headers=HTMX
    )

    text = answer.content.decode()
    assert f'<li id="operation-{operation.pk}"' in text
    assert 'data-status="cancelled"' in text
    assert 'hx-swap-oob="beforeend"' in text
    assert "has been cancelled." in text


def test_a_button_without_a_script_leads_back_and_says_what_happened(page_client):
    operation = OperationFactory()
    client = page_client("Operator")

    answer = client.post(
        f"/operations/{operation.pk}/pause/",
        headers={"Referer": "http://testserver/operations/?status=pending"},
        follow=True,
    )

    assert answer.redirect_chain[0][0].endswith("/operations/?status=pending")
    assert "has been paused." in answer.text


def test_a_strange_referer_leads_to_the_operation(page_client):
    operation = OperationFactory()

    answer = page_client("Operator").post(
        f"/operations/{operation.pk}/pause/", headers={"Referer": "http://evil.example"}
    )

    assert answer["Location"] == f"/operations/{operation.pk}/"


def test_what_does_not_fit_is_409_and_a_toast(page_client):
    operation = OperationFactory(completed=True)

    answer = page_client("Operator").post(
        f"/operations/{operation.pk}/cancel/", headers=HTMX
    )

    assert answer.status_code == 409
    assert answer["HX-Retarget"] == "#toasts"


def test_retry_and_resume_go_on(page_client):
    failed = OperationFactory(failed=True)
    paused = OperationFactory(pause_requested=True, phase="paused")
    client = page_client("Operator")

    client.post(f"/operations/{failed.pk}/retry/")
    client.post(f"/operations/{paused.pk}/resume/")

    assert {row.phase for row in Operation.objects.all()} == {"queued"}


def test_the_self_test_starts_and_leads_to_its_page(page_client):
    client = page_client("Operator")

    answer = client.post("/operations/probe/", {"seconds": "5", "fail": "1"})

    operation = Operation.objects.get()
    assert operation.params == {"seconds": 5, "fail": True}
    assert answer["Location"] == operation.get_absolute_url()


@pytest.mark.parametrize("seconds", ["", "0", "601", "x", "1.5"])
def test_a_wrong_number_of_seconds_is_422(page_client, seconds):
    answer = page_client("Operator").post("/operations/probe/", {"seconds": seconds})

    assert answer.status_code == 422
    assert not Operation.objects.exists()


def test_viewers_may_not_change_anything(page_client):
    operation = OperationFactory()
    client = page_client("Viewer")

    for verb in ("cancel", "retry", "pause", "resume"):
        assert client.post(f"/operations/{operation.pk}/{verb}/").status_code == 403
    assert client.post("/operations/probe/", {"seconds": 5}).status_code == 403


def test_a_button_is_a_post(page_client):
    operation = OperationFactory()

    answer = page_client("Operator").get(f"/operations/{operation.pk}/cancel/")

    assert answer.status_code == 405
