"""The gateway knows of a switch as soon as it is made."""

from __future__ import annotations

import asyncio
import time

import pytest

from runtime_app.events import activation_changed
from runtime_app.gateway.snapshot import SnapshotStore
from runtime_app.governance.policy import bump_policy
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


async def test_a_refresh_knows_what_is_committed(store):
    await off_loop(activate)

    await store.refresh()

    assert store.present.active.model_name == "gemma3:4b"
