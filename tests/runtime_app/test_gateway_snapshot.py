"""The gateway knows of a switch as soon as it is made."""

from __future__ import annotations

import asyncio
import time

import pytest

from runtime_app.events import activation_changed
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.governance.policy import bump_policy
from tests.factories import CapabilitiesFactory, InstalledModelFactory
from tests.serving import add_server
from venom_site.lib.events import publish_now
from venom_site.lib.offloop import off_loop

pytestmark = pytest.mark.django_db(transaction=True)


def activate() -> None:
    add_server("ollama", "http://127.0.0.1:9", "gemma3:4b", active="gemma3:4b")
    bump_policy()


@pytest.fixture
async def store(settings):
    settings.GATEWAY_POLL_SECONDS = 30  # only news can be in time
    store = SnapshotStore()
    store.start()
    await store.first()
    await asyncio.sleep(0.3)  # it listens now
    yield store
    await store.stop()


async def test_an_event_brings_the_new_activation_at_once(store):
    await off_loop(activate)
    await off_loop(publish_now, activation_changed({}))

    ends = time.monotonic() + 3
    while store.present.active is None and time.monotonic() < ends:
        await asyncio.sleep(0.02)
    assert store.present.active is not None
    assert store.present.active.model_name == "gemma3:4b"


async def test_a_moved_number_is_news_enough(store):
    await off_loop(activate)

    ends = time.monotonic() + 3
    while store.present.active is None and time.monotonic() < ends:
        await asyncio.sleep(0.02)
    assert store.present.active is not None
    assert store.present.active.model_name == "gemma3:4b"


def change_a_capability(model) -> None:
    """As models_app does it: no policy number moves."""
    model.capabilities.supports_system_role = False
    model.capabilities.save()


@pytest.fixture
async def gemma(store):
    def make():
        activate()
        row = InstalledModelFactory(name="gemma3:4b")
        CapabilitiesFactory(model=row, supports_system_role=True)
        bump_policy()
        return row

    model = await off_loop(make)
    await store.refresh()
    assert system_role(store) is True
    return model


def system_role(store) -> bool | None:
    [runtime] = store.present.runtimes
    return runtime.model("gemma3:4b").supports_system_role


async def test_a_changed_capability_is_known_though_no_number_moved(store, gemma):
    number = store.present.number
    await off_loop(change_a_capability, gemma)
    await store.refresh()
    assert system_role(store) is False
    assert store.present.number == number


def installed(store) -> frozenset[str]:
    [runtime] = store.present.runtimes
    return runtime.installed


async def test_what_comes_and_goes_on_the_disk_is_known_though_no_number_moved(
    store, gemma
):
    number = store.present.number
    assert installed(store) == {"gemma3:4b"}
    node = gemma.node

    other = await off_loop(InstalledModelFactory, name="qwen3:latest", node=node)
    await off_loop(InstalledModelFactory, name="half:1b", node=node, status="broken")
    await store.refresh()
    assert installed(store) == {"gemma3:4b", "qwen3:latest"}

    await off_loop(other.delete)
    await store.refresh()
    assert installed(store) == {"gemma3:4b"}
    assert store.present.number == number


async def test_who_waits_for_a_newer_snapshot_gets_it(store):
    known = store.present
    waiting = asyncio.ensure_future(store.newer_than(known))
    await store.refresh()
    await asyncio.sleep(0)
    assert not waiting.done()  # the number has not moved
    await off_loop(activate)
    await store.refresh()
    assert (await asyncio.wait_for(waiting, 1)) is store.present
    assert store.present is not known


async def test_a_refresh_knows_what_is_committed(store):
    await off_loop(activate)

    await store.refresh()

    assert store.present.active.model_name == "gemma3:4b"
