"""What the news of a model, an operation or a server changes on an open page."""

from __future__ import annotations

import pytest
from django.utils import timezone

from models_app.schemas.operations import operation_payload
from models_app.templatetags.model_atoms import model_element
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory
from venom_site import fragments
from venom_site.lib.access import SYSTEM, Principal, Scope
from venom_site.shell import Can

pytestmark = pytest.mark.django_db

VIEWER = Principal(
    kind="user", identifier="1", name="eve", scopes=frozenset({Scope.READ})
)


def event_of(kind, data):
    return {"id": "event-1", "type": kind, "data": data}


def drawn(event, topic="models", principal=SYSTEM):
    """Key → HTML of everything that pages with this topic get."""
    return {
        change.key: change.draw(event, Can(principal))
        for change in fragments.changes(event)
        if change.concerns(frozenset({topic}))
    }


def model_event(name, status="installed"):
    data = {"node": "test-node", "provider": "ollama", "name": name, "status": status}
    return event_of("model.changed", data)


def test_a_changed_model_brings_its_row():
    model = InstalledModelFactory(name="gemma3:4b", pinned=True)
    element = model_element("ollama", "gemma3:4b")

    found = drawn(model_event(model.name))

    assert f'id="{element}"' in found[element]
    assert 'hx-swap-oob="true"' in found[element]
    assert 'data-version="event-1"' in found[element]
    assert "pinned" in found[element]
    assert "csrfmiddlewaretoken" not in found[element]


def test_a_viewer_gets_the_row_without_buttons():
    model = InstalledModelFactory(name="gemma3:4b")

    found = drawn(model_event(model.name), principal=VIEWER)

    assert "<form" not in "".join(found.values())


def test_one_that_is_gone_has_the_list_fetched_again():
    element = model_element("ollama", "gone:1b")

    found = drawn(model_event("gone:1b", status="available"))

    assert f'<i id="{element}-gone" data-status="event-1"' in found[element]


def test_the_id_of_a_row_minds_neither_case_nor_odd_characters():
    assert model_element("ollama", "Org/A:B") == model_element("ollama", "org/a:b")
    assert model_element("ollama", "a") != model_element("ollama", "b")
    assert ":" not in model_element("ollama", "hf.co/x/y:Q4")


def test_an_operation_that_begins_or_ends_brings_the_row_of_its_model():
    InstalledModelFactory(name="gemma3:4b")
    operation = OperationFactory(
        operation_type="remove",
        provider="ollama",
        model_name="gemma3:4b",
        phase="scheduled",
        not_before=timezone.now(),
    )

    found = drawn(event_of("operation.changed", operation_payload(operation)))

    row = found[model_element("ollama", "gemma3:4b")]
    assert "Undo" in row
    assert f"/operations/{operation.pk}/cancel/" in row


def test_progress_brings_the_last_operations_but_no_row():
    operation = OperationFactory(
        running=True,
        operation_type="install",
        provider="ollama",
        model_name="gemma3:4b",
        phase="downloading",
    )

    found = drawn(event_of("operation.changed", operation_payload(operation)))

    assert model_element("ollama", "gemma3:4b") not in found
    assert 'id="recent-operations"' in found["recent"]
    assert str(operation.pk) in found["recent"]


def test_a_server_that_loads_a_model_brings_its_row_and_the_active_box():
    InstalledModelFactory(name="gemma3:4b")
    InstalledModelFactory(name="phi3:mini")
    RuntimeFactory(online=True, loaded_models=[{"name": "gemma3:4b"}])

    found = drawn(event_of("runtime.changed", {"name": "ollama"}))

    memory = found["memory-ollama"]
    assert f'id="{model_element("ollama", "gemma3:4b")}"' in memory
    assert model_element("ollama", "phi3:mini") not in memory
    assert '<i id="model-memory" data-status="online gemma3:4b"' in memory
    assert 'id="active-box"' in found["active-box"]


def test_another_active_model_has_the_list_fetched_again():
    found = drawn(event_of("activation.changed", {}))

    assert 'id="model-activation" data-status="event-1"' in found["model-activation"]


def test_pages_without_models_hear_nothing_of_them():
    InstalledModelFactory(name="gemma3:4b")

    assert drawn(model_event("gemma3:4b"), topic="ops") == {}
