"""Making room: what could leave, decided from figures and read from rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models_app.models import InstalledModel
from models_app.services import room
from models_app.services.nodes import this_node
from models_app.services.room import Candidate, choose
from runtime_app.models import Activation
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def candidate(name, size, *, days):
    return Candidate(
        model=InstalledModel(name=name),
        size_bytes=size,
        used_at=NOW - timedelta(days=days),
    )


def chosen(needed, *candidates):
    return [each.model.name for each in choose(candidates, needed)]


def test_the_longest_unused_leave_first():
    kinds = [candidate("new", 9, days=1), candidate("old", 4, days=9)]

    assert chosen(3, *kinds) == ["old"]
    assert chosen(5, *kinds) == ["new"]  # old would not be needed besides
    assert chosen(10, *kinds) == ["old", "new"]


def test_no_more_leave_than_it_takes():
    kinds = [candidate(f"{n}", 1, days=9 - n) for n in range(5)]
    kinds.append(candidate("large", 10, days=1))

    assert chosen(2, *kinds) == ["0", "1"]
    assert chosen(10, *kinds) == ["large"]
    assert chosen(11, *kinds) == ["0", "large"]


def test_where_all_of_them_would_not_do_none_is_proposed():
    assert chosen(10, candidate("a", 4, days=1), candidate("b", 5, days=2)) == []
    assert chosen(1) == []


@pytest.mark.django_db
def test_what_nobody_may_remove_is_never_proposed():
    free = InstalledModelFactory(name="free:1b", size_bytes=5)
    InstalledModelFactory(name="pinned:1b", size_bytes=50, pinned=True)
    InstalledModelFactory(name="cloud:1b", size_bytes=50, is_remote=True)
    InstalledModelFactory(
        name="o/m", provider="huggingface", size_bytes=50, is_foreign=True
    )
    InstalledModelFactory(name="a:1b", size_bytes=50, digest="f" * 64)
    InstalledModelFactory(name="b:1b", size_bytes=50, digest="f" * 64)
    busy = InstalledModelFactory(name="busy:1b", size_bytes=50)
    OperationFactory(
        operation_type="install", provider="ollama", model_name=busy.name, params={}
    )
    active = InstalledModelFactory(name="active:1b", size_bytes=50)
    Activation.objects.create(
        node=active.node,
        runtime=RuntimeFactory(),
        installed_model=active,
        model_name=active.name,
        served_name=active.name,
        state="active",
    )

    assert room.proposal_for(this_node(), 5) == [free]
    assert room.proposal_for(this_node(), 6) == []
    assert room.proposal_for(this_node(), 0) == []


@pytest.mark.django_db
def test_the_call_tells_names_sizes_and_what_comes_free(api_client):
    model = InstalledModelFactory(name="old:1b", size_bytes=2_000_000_000)
    program = api_client("read")

    answer = program.get("/api/v1/models/room?bytes=1000000000").json()

    assert answer["freed_bytes"] == 2_000_000_000
    [told] = answer["proposal"]
    assert (told["name"], told["size_gb"], told["revision"]) == (model.name, 2.0, None)
    assert program.get("/api/v1/models/room?bytes=9000000000").json()["proposal"] == []
    assert program.get("/api/v1/models/room").json()["proposal"] == []
    assert program.get("/api/v1/models/room?bytes=-1").status_code == 400
    assert api_client("inference").get("/api/v1/models/room?bytes=1").status_code == 403
