"""What a snapshot remembers of the decisions that were made by it."""

from dataclasses import replace

import pytest

from runtime_app.gateway.choosing import decision_for
from runtime_app.gateway.entries import Snapshot
from runtime_app.gateway.routing import Asked, choose_route
from tests.runtime_app.test_gateway_routing import LAB, NOTHING, ON_LAB, ON_OLLAMA


@pytest.fixture
def known() -> Snapshot:
    """One that nobody has asked yet."""
    return replace(ON_OLLAMA)


def test_who_asks_the_same_gets_the_same_decision(known):
    asked = Asked(model="practice-7b")
    first = decision_for(Asked(model="auto"), known)
    assert decision_for(Asked(model="auto"), known) is first
    assert first == choose_route(Asked(model="auto"), known, known.policy)
    assert decision_for(asked, known) == choose_route(asked, known, known.policy)
    may_operate = Asked(model="auto", may_operate=True)
    assert decision_for(may_operate, known) is not first


def test_a_newer_snapshot_decides_anew(known):
    asked = Asked(model="auto")
    assert decision_for(asked, known).routes[0].runtime.name == "ollama"
    newer = replace(known, active=ON_LAB.active)
    assert decision_for(asked, newer).routes[0].runtime is LAB


def test_names_that_clients_invent_do_not_fill_the_memory(known):
    for number in range(1000):
        decision_for(Asked(model=f"silent/invented-{number}"), known)
    decision_for(Asked(model="silent/" + "x" * 5000), known)
    assert 0 < len(known.decided) <= 256
    assert all(len(asked.model) < 300 for asked in known.decided)


def test_a_refusal_is_found_anew(known):
    empty = replace(NOTHING)
    assert decision_for(Asked(model="auto"), empty).refusal is not None
    assert empty.decided == {}
