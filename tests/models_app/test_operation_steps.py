"""The steps of an operation as its page shows them, live and afterwards."""

from __future__ import annotations

import re

import pytest

from models_app.choices import STEPS
from tests.factories import OperationFactory
from venom_site.fragments import changes
from venom_site.shell import Can
from venom_site.templatetags.pills import PILLS

pytestmark = pytest.mark.django_db


def make(**fields):
    facts = {
        "operation_type": "activate",
        "model_name": "gemma3:4b",
        "running": True,
        "phase": "confirming",
        "checkpoint": {"steps": {"checking": 0.042, "loading": 4.2}},
    }
    return OperationFactory(**(facts | fields))


def states(page: str) -> list[tuple[str, str]]:
    found = re.findall(
        r'<li data-state="(\w+)".*?</svg> ([^<]+)</span>', page, re.DOTALL
    )
    return [(state, word.strip()) for state, word in found]


@pytest.fixture
def look(page_client):
    client = page_client("Viewer")
    return lambda operation: client.get(f"/operations/{operation.pk}/").content.decode()


def test_a_running_activation_shows_each_step_with_icon_word_and_time(look):
    page = look(make())
    assert states(page) == [
        ("done", "Done"),
        ("done", "Done"),
        ("running", "Running"),
        ("waiting", "Waiting"),
        ("waiting", "Waiting"),
    ]
    for words in ("42 ms", "4.20 s", "Confirm with one real answer"):
        assert words in page
    assert page.count('aria-current="step"') == 1


def ended(status, **fields):
    return make(running=False, status=status, **fields)


def test_a_failed_operation_shows_the_step_at_which_it_failed(look):
    words = [word for _, word in states(look(ended("failed")))]
    assert words == ["Done", "Done", "Failed", "Waiting", "Waiting"]


def test_what_somebody_stopped_did_not_fail(look):
    words = [word for _, word in states(look(ended("cancelled")))]
    assert words[2] == "Cancelled"


def test_steps_that_were_not_needed_say_so(look):
    words = [word for _, word in states(look(ended("completed", phase="done")))]
    assert words == ["Done", "Done", "Not needed", "Not needed", "Not needed"]


def test_work_without_steps_has_no_list_of_them(look):
    page = look(OperationFactory(running=True))
    assert 'class="steps' not in page


def test_every_step_of_every_kind_has_words():
    for steps in STEPS.values():
        for name in steps:
            assert name in PILLS["step"]
            assert name in PILLS["phase"]


def test_the_socket_sends_steps_and_facts_to_the_page_of_the_operation():
    operation = make(started_by="anna")
    data = {
        "operation_id": str(operation.pk),
        "status": "in_progress",
        "phase": "confirming",
        "runtime": "ollama",
        "provider": "ollama",
        "model_name": "gemma3:4b",
    }
    event = {"type": "operation.changed", "id": "1", "data": data}
    own = f"operation-{operation.pk}"

    [change] = [c for c in changes(event) if c.key == f"{own}-steps"]
    part = change.draw(event, Can(None))

    assert change.topics == {own}
    assert re.findall(r'id="([^"]+)" hx-swap-oob', part) == [
        f"{own}-steps",
        f"{own}-details",
    ]
    assert "anna" in part


def test_what_the_socket_swaps_is_on_the_page(look):
    operation = make()
    page = look(operation)
    for part in ("steps", "details"):
        assert page.count(f'id="operation-{operation.pk}-{part}"') == 1


def test_an_operation_that_is_gone_sends_nothing():
    operation = make()
    data = {
        "operation_id": str(operation.pk),
        "status": "completed",
        "phase": "done",
        "runtime": "",
        "provider": "",
        "model_name": "",
    }
    event = {"type": "operation.changed", "id": "1", "data": data}
    [change] = [c for c in changes(event) if c.key.endswith("-steps")]
    operation.delete()
    assert change.draw(event, Can(None)) == ""
