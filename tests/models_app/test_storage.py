"""How full a node's stores are: nothing counted twice, never below zero."""

from __future__ import annotations

import pytest

from models_app.services.storage import Storage, shortage, storage_of
from tests.factories import InstalledModelFactory, NodeFactory, OperationFactory
from venom_site.lib.units import GB

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db


def open_install(node, reserved, **fields):
    params = {"reserved_bytes": reserved, "size_bytes": reserved}
    return OperationFactory(
        node=node, operation_type="install", params=params, **fields
    )


def test_used_reserved_and_left_add_up_to_the_limit():
    node = NodeFactory()
    InstalledModelFactory(node=node, size_bytes=3 * GB)
    InstalledModelFactory(node=node, size_bytes=None)
    open_install(node, 2 * GB)
    open_install(node, GB, completed=True)
    InstalledModelFactory(node=NodeFactory(name="elsewhere"), size_bytes=9 * GB)

    storage = storage_of(node)

    assert storage.used_bytes == 3 * GB
    assert storage.reserved_bytes == 2 * GB
    assert storage.limit_bytes == 50 * GB
    assert storage.free_bytes == 45 * GB


def test_two_names_of_the_same_bytes_count_once():
    node = NodeFactory()
    InstalledModelFactory(node=node, name="a:1", digest="d" * 64, size_bytes=GB)
    InstalledModelFactory(node=node, name="a:latest", digest="d" * 64, size_bytes=GB)
    InstalledModelFactory(node=node, name="b:1", digest="", size_bytes=GB)
    InstalledModelFactory(node=node, name="c:1", digest="", size_bytes=GB)

    assert storage_of(node).used_bytes == 3 * GB


def test_a_running_install_reserves_what_it_has_learnt():
    node = NodeFactory()
    operation = open_install(node, 4 * GB, bytes_total=6 * GB)

    assert storage_of(node).reserved_bytes == 6 * GB
    assert storage_of(node, without=operation).reserved_bytes == 0


def test_more_than_the_limit_leaves_nothing_and_never_less():
    node = NodeFactory()
    InstalledModelFactory(node=node, size_bytes=80 * GB)

    assert storage_of(node).free_bytes == 0


def test_the_disk_of_another_machine_cannot_be_seen(ollama):
    assert storage_of(NodeFactory()).disk_total_bytes > 0
    assert storage_of(NodeFactory(name="elsewhere")).disk_free_bytes is None


def room(*, used=0, disk=None):
    return Storage(
        used_bytes=used,
        reserved_bytes=0,
        limit_bytes=10 * GB,
        disk_free_bytes=disk,
        disk_total_bytes=disk and 100 * GB,
    )


@pytest.mark.parametrize(
    ("storage", "needed", "here", "limit"),
    [
        (room(), 10 * GB, 0, None),
        (room(), 10 * GB + 1, 0, "quota"),
        (room(used=8 * GB), 3 * GB, 0, "quota"),
        (room(disk=3 * GB), 2 * GB, 0, None),
        (room(disk=3 * GB), 3 * GB, 0, "disk"),  # half a GB stays free
        (room(disk=3 * GB), 4 * GB, 2 * GB, None),  # the other half is there already
        (room(disk=0), 0, 0, None),  # an update that brings nothing
        (room(disk=0), 1, 0, "disk"),
    ],
)
def test_quota_and_disk_are_asked_in_this_order(storage, needed, here, limit):
    found = shortage(storage, needed, here=here)

    assert (found and found.limit) == limit
