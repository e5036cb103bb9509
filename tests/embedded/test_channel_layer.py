"""The channel layer without a server: group messages between processes and threads."""

import asyncio
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from venom_site.embedded import channel_layer
from venom_site.embedded.channel_layer import (
    LocalSocketChannelLayer,
    UnsafeFolder,
    make_private,
    runtime_folder,
)

PUBLISHER = """
import sys
from venom_site.embedded.channel_layer import LocalSocketChannelLayer
layer = LocalSocketChannelLayer(directory=sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    layer.publish("operations", {"type": "event", "text": line.strip()})
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "channels"


@asynccontextmanager
async def listening(directory: Path, group="operations", **options):
    """A layer and a channel of it that is a member of the group."""
    layer = LocalSocketChannelLayer(directory=directory, **options)
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        yield layer, channel
    finally:
        await layer.close()


async def receive(layer, channel, seconds=2.0):
    return await asyncio.wait_for(layer.receive(channel), seconds)


async def test_a_message_from_another_process_arrives_within_half_a_second(directory):
    async with listening(directory) as (layer, channel):
        publisher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PUBLISHER,
            str(directory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await publisher.stdout.readline() == b"ready\n"
        started = time.monotonic()
        publisher.stdin.write(b"hello\n")
        message = await receive(layer, channel)
        assert time.monotonic() - started < 0.5
        assert message == {"type": "event", "text": "hello"}
        publisher.stdin.close()
        assert await publisher.wait() == 0


async def test_a_message_from_a_thread_arrives(directory):
    async with listening(directory) as (layer, channel):
        message = {"type": "event", "n": 1}
        sender = threading.Thread(target=layer.publish, args=("operations", message))
        sender.start()
        assert await receive(layer, channel) == message
        sender.join()


async def test_only_members_of_the_group_receive(directory):
    async with listening(directory) as (layer, channel):
        other = await layer.new_channel()
        await layer.group_add("other", other)
        await layer.group_send("other", {"type": "event", "n": 1})
        await layer.group_send("operations", {"type": "event", "n": 2})
        assert (await receive(layer, other))["n"] == 1
        assert (await receive(layer, channel))["n"] == 2
        await layer.group_discard("other", other)
        await layer.group_send("other", {"type": "event", "n": 3})
        await layer.group_send("operations", {"type": "event", "n": 4})
        assert (await receive(layer, channel))["n"] == 4
        assert other not in layer.channels


async def test_a_burst_larger_than_the_sockets_queue_arrives_whole(directory):
    async with listening(directory, capacity=500) as (layer, channel):

        def burst():
            for number in range(300):
                layer.publish("operations", {"type": "event", "n": number})

        sender = threading.Thread(target=burst)
        sender.start()
        got = [(await receive(layer, channel))["n"] for _ in range(300)]
        sender.join()
        assert got == list(range(300))


async def test_a_burst_from_the_listening_loop_itself_arrives_whole(directory):
    async with listening(directory, capacity=500) as (layer, channel):
        for number in range(100):
            await layer.group_send("operations", {"type": "event", "n": number})
        got = [(await receive(layer, channel))["n"] for _ in range(100)]
        assert got == list(range(100))


async def test_a_slow_member_loses_messages_and_delays_nobody(directory):
    async with listening(directory, capacity=2) as (layer, slow):
        quick = await layer.new_channel()
        await layer.group_add("operations", quick)
        for number in range(5):
            await layer.group_send("operations", {"type": "event", "n": number})
            assert (await receive(layer, quick))["n"] == number
        assert layer.channels[slow].qsize() == 2


def test_publishing_on_a_loop_does_not_wait_for_a_listener_that_hangs(directory):
    make_private(directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(directory / "deaf.sock"))
        layer = LocalSocketChannelLayer(directory=directory)

        async def publish_many():
            started = time.monotonic()
            for _ in range(1000):
                layer.publish("operations", {"type": "event"})
            return time.monotonic() - started

        # Waiting would cost 0.15 s for each of the last 990.
        assert asyncio.run(publish_many()) < 5
        asyncio.run(layer.close())


def test_a_listener_that_hangs_is_waited_for_once_and_not_with_every_event(
    directory, monkeypatch
):
    """Each event of a worker took 170 ms while one process hung."""
    layer = LocalSocketChannelLayer(directory=directory)
    pauses = []
    monkeypatch.setattr(channel_layer.time, "sleep", pauses.append)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(directory / "1-hangs.sock"))
        while not pauses:
            layer.publish("operations", {"type": "event"})
        waited = len(pauses)
        for _ in range(5):
            layer.publish("operations", {"type": "event"})
        assert len(pauses) == waited
        deaf.setblocking(False)
        with suppress(BlockingIOError):
            while deaf.recv(4096):
                pass
        layer.publish("operations", {"type": "event"})
        assert deaf.recv(4096)


async def test_an_oversized_message_is_dropped_with_a_warning(directory, caplog):
    async with listening(directory) as (layer, channel):
        with caplog.at_level(logging.WARNING):
            layer.publish("operations", {"type": "event", "text": "x" * 1_000_000})
        assert "event dropped" in caplog.text
        layer.publish("operations", {"type": "event", "n": 1})
        assert (await receive(layer, channel))["n"] == 1


async def test_an_unreadable_datagram_is_dropped(directory, caplog):
    async with listening(directory) as (layer, channel):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            (ear,) = directory.glob("*.sock")
            for garbage in (b"", b"{", b"[1]", b"[[1], 2]", b'["operations", 3]'):
                stranger.sendto(garbage, str(ear))
        layer.publish("operations", {"type": "event", "n": 1})
        assert (await receive(layer, channel))["n"] == 1


async def test_the_socket_of_a_dead_process_is_removed_and_no_other(directory):
    async with listening(directory) as (layer, channel):
        stale = directory / "999999-ab.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(str(stale))
        layer.publish("operations", {"type": "event", "n": 1})
        assert (await receive(layer, channel))["n"] == 1
        assert not stale.exists()
        assert len(list(directory.glob("*.sock"))) == 1


async def test_a_removed_folder_is_made_again_by_the_next_member(directory):
    async with listening(directory) as (layer, channel):
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        layer.publish("operations", {"type": "event", "n": 1})
        await layer.group_add("operations", await layer.new_channel())
        layer.publish("operations", {"type": "event", "n": 2})
        assert (await receive(layer, channel))["n"] == 2


def test_one_layer_serves_one_event_loop_after_another(directory):
    layer = LocalSocketChannelLayer(directory=directory)

    async def round_trip():
        channel = await layer.new_channel()
        await layer.group_add("operations", channel)
        layer.publish("operations", {"type": "event"})
        return await receive(layer, channel)

    for _ in range(3):
        assert asyncio.run(round_trip()) == {"type": "event"}
    assert len(list(directory.glob("*.sock"))) == 1
    asyncio.run(layer.close())
    assert list(directory.iterdir()) == []


def test_a_layer_that_is_forgotten_closes_its_sockets(directory):
    async def listen():
        layer = LocalSocketChannelLayer(directory=directory)
        await layer.group_add("operations", await layer.new_channel())

    asyncio.run(listen())
    gc.collect()  # an unclosed socket would be a ResourceWarning, here an error
    assert list(directory.iterdir()) == []


def test_it_runs_on_uvloop_too(directory):
    uvloop = pytest.importorskip("uvloop")

    async def round_trip():
        async with listening(directory) as (layer, channel):
            layer.publish("operations", {"type": "event"})
            return await receive(layer, channel)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(round_trip()) == {"type": "event"}


def test_the_folder_is_private(directory):
    directory.mkdir(mode=0o755)
    layer = LocalSocketChannelLayer(directory=directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    asyncio.run(layer.close())


def test_a_folder_that_is_a_link_is_refused(directory, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFolder, match="belongs to another user or is a link"):
        make_private(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(directory):
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    with pytest.raises(UnsafeFolder, match="VENOM_DATA_DIR"):
        LocalSocketChannelLayer(directory=directory)


def test_the_sockets_lie_in_the_data_folder_where_the_path_is_short():
    assert runtime_folder(Path("/srv/venom")) == Path("/srv/venom/run/channels")


def test_a_deep_data_folder_gets_a_short_folder_of_its_own(monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    one, two = (runtime_folder(Path("/srv") / ("x" * 80) / name) for name in "ab")
    assert one.parent == two.parent == Path("/run/user/1000")
    assert one != two
    assert runtime_folder(Path("/srv") / ("x" * 80) / "a") == one


def test_without_a_runtime_folder_the_temporary_folder_serves(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder = runtime_folder(Path("/srv") / ("x" * 80))
    assert folder.name.startswith("venom-")
    assert len(os.fsencode(folder)) < 90


def test_a_plain_process_leaves_no_socket_behind(directory):
    program = PUBLISHER + (
        "import asyncio\n"
        "asyncio.run(layer.group_add('operations', 'specific.x!y'))\n"
        "print(len(list(layer.directory.iterdir())))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert finished.stdout == "ready\n1\n"
    assert finished.stderr == ""
    assert list(directory.iterdir()) == []
