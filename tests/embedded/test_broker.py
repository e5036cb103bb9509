"""The file broker: every message once, and no file in the folder can kill a reader."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection, Consumer, Exchange, Queue
from kombu.exceptions import OperationalError

from tests.embedded.waiting import wait_until
from venom_site.embedded import broker

QUEUE = Queue("default", routing_key="default")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    broker.register()
    return tmp_path / "broker"


def connect(folder: Path) -> Connection:
    options = {"folder": str(folder), "polling_interval": 0.01}
    options |= {"max_retries": 1, "interval_start": 0}
    return Connection("files://", transport_options=options)


def publish(connection: Connection, bodies, queue=QUEUE) -> None:
    with connection.Producer() as producer:
        for body in bodies:
            producer.publish(
                {"n": body},
                exchange="",
                routing_key=queue.name,
                declare=[queue],
                serializer="json",
            )


def receive(connection: Connection, *, until, queue=QUEUE, into=None) -> list:
    """Consumes until `until(received)` is true; what was received."""
    received = [] if into is None else into

    def keep(body, message):
        received.append(body["n"])
        message.ack()

    deadline = time.monotonic() + 20
    with Consumer(connection, [queue], callbacks=[keep], accept=["json"]):
        while not until(received):
            assert time.monotonic() < deadline, f"only {received} arrived"
            try:
                connection.drain_events(timeout=0.05)
            except TimeoutError:
                continue
    return received


def test_messages_of_a_queue_arrive_in_the_order_they_were_sent(folder):
    with connect(folder) as connection:
        publish(connection, range(20))
        assert receive(connection, until=lambda got: len(got) == 20) == list(range(20))
    assert list((folder / "new").iterdir()) == []


def test_two_readers_share_a_queue_and_each_message_arrives_once(folder):
    seen: list = []

    def read():
        with connect(folder) as connection:
            receive(connection, until=lambda got: len(got) >= 300, into=seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with connect(folder) as connection:
        publish(connection, range(300))
    for reader in readers:
        reader.join(30)
    assert sorted(seen) == list(range(300))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"{not json",
        b"[]",
        b"{}",
        b'{"properties": {}}',
        b'{"properties": null, "body": 3}',
        json.dumps(
            {
                "body": "YQ",
                "properties": {"body_encoding": "base64", "delivery_tag": "1"},
            }
        ).encode(),
        b"[" * 100_000,
    ],
    ids=[
        "empty",
        "not utf-8",
        "cut",
        "list",
        "object",
        "no tag",
        "null",
        "no base64",
        "deep",
    ],
)
def test_garbage_is_moved_aside_and_the_next_message_arrives(folder, content):
    with connect(folder) as connection:
        connection.default_channel.queue_declare("default")
        garbage = folder / "new" / "00000000000000000001-000000-ab@default.msg"
        garbage.write_bytes(content)
        publish(connection, [7])
        assert receive(connection, until=lambda got: len(got) == 1) == [7]
    assert (folder / "bad" / garbage.name).read_bytes() == content


def test_a_folder_where_a_message_should_be_does_not_stop_the_queue(folder):
    with connect(folder) as connection:
        connection.default_channel.queue_declare("default")
        (folder / "new" / "0@default.msg").mkdir()
        publish(connection, [7])
        assert receive(connection, until=lambda got: len(got) == 1) == [7]


def test_a_removed_folder_is_made_again_for_reader_and_writer(folder):
    with connect(folder) as reader, connect(folder) as writer:
        publish(writer, [1])
        receive(reader, until=lambda got: len(got) == 1)
        shutil.rmtree(folder)
        receive(reader, until=lambda _: (folder / "new").is_dir())
        shutil.rmtree(folder)
        publish(writer, [2])
        assert receive(reader, until=lambda got: len(got) == 1) == [2]


def test_a_message_put_within_one_tick_of_the_last_look_is_found(folder):
    # The reader trusts an unchanged modification time only when it has settled.
    with connect(folder) as connection:
        channel = connection.default_channel
        for number in range(200):
            assert channel.basic_get("default") is None
            publish(connection, [number])
            assert channel.basic_get("default", no_ack=True) is not None


def test_an_idle_queue_is_not_listed_again(folder, monkeypatch):
    with connect(folder) as connection:
        channel = connection.default_channel
        long_ago = time.time() - 60
        os.utime(folder / "new", (long_ago, long_ago))
        assert channel.basic_get("default") is None
        listed = []
        scandir = os.scandir  # other threads go on using it
        monkeypatch.setattr(
            os, "scandir", lambda path: listed.append(str(path)) or scandir(path)
        )
        assert channel.basic_get("default") is None
        assert not [path for path in listed if path.startswith(str(folder))]


def test_queues_whose_names_end_alike_stay_apart(folder):
    with connect(folder) as connection:
        publish(connection, [1], Queue("a.default"))
        publish(connection, [2], Queue("b@default"))
        publish(connection, [3], Queue("node.Host-1.lan/x"))
        channel = connection.default_channel
        assert channel._size("default") == 0
        assert channel._size("a.default") == 1
        assert channel._size("node.Host-1.lan/x") == 1
        assert channel.queue_purge("b@default") == 1


def test_a_fanout_reaches_every_bound_queue(folder):
    everyone = Exchange("news", type="fanout")
    first, second = Queue("first", everyone), Queue("second", everyone)
    with connect(folder) as connection, connect(folder) as other:
        first(connection).declare()
        second(other).declare()
        with connection.Producer() as producer:
            producer.publish({"n": 5}, exchange=everyone, declare=[everyone])
        for one, queue in ((connection, first), (other, second)):
            assert receive(one, queue=queue, until=bool) == [5]


def test_a_broken_exchange_table_is_written_anew_by_the_next_reader(folder):
    everyone = Exchange("news", type="fanout")
    with connect(folder) as connection:
        Queue("first", everyone)(connection).declare()
    table = folder / "exchanges" / "news.json"
    table.write_text("")
    with connect(folder) as connection:
        Queue("first", everyone)(connection).declare()
    assert json.loads(table.read_text()) == [["", "", "first"]]


def test_bindings_return_after_the_folder_was_removed(folder):
    everyone = Exchange("news", type="fanout")
    table = folder / "exchanges" / "news.json"
    with connect(folder) as connection:
        queue = Queue("first", everyone)
        receive(connection, queue=queue, until=lambda _: True)
        receive(connection, queue=queue, until=lambda _: True)
        shutil.rmtree(folder)
        receive(connection, queue=queue, until=lambda _: table.exists())
    assert json.loads(table.read_text()) == [["", "", "first"]]


def test_old_messages_and_drafts_are_thrown_out_at_the_next_start(folder):
    with connect(folder) as connection:
        connection.default_channel.queue_declare("default")
    old = [folder / "new" / "1@gone.msg", folder / "tmp" / "draft"]
    for file in old:
        file.write_text("{}")
        os.utime(file, (time.time() - 2 * 86400,) * 2)
    with connect(folder) as connection:
        connection.default_channel.queue_declare("default")
    assert not any(file.exists() for file in old)


def test_a_folder_that_cannot_be_made_is_an_operational_error(tmp_path):
    broker.register()
    (tmp_path / "file").write_text("")
    connection = connect(tmp_path / "file" / "broker")
    with connection, pytest.raises(OperationalError):
        publish(connection, [1])


@pytest.mark.slow
def test_a_celery_worker_runs_tasks_answers_pings_and_survives_garbage(folder):
    app = Celery("frame", broker="files://", set_as_current=False)
    app.conf.broker_transport_options = {"folder": str(folder)}
    app.conf.task_ignore_result = True
    app.conf.task_default_queue = "default"
    app.conf.broker_connection_retry_on_startup = True
    done = []

    @app.task(name="note")
    def note(number):
        done.append(number)

    with start_worker(app, perform_ping_check=False, shutdown_timeout=20) as worker:
        note.delay(1)
        wait_until(lambda: done == [1], seconds=10)
        (folder / "new" / "0@default.msg").write_bytes(b"")
        note.apply_async((2,), queue="default")
        wait_until(lambda: done == [1, 2], seconds=10)
        answers = app.control.ping(timeout=15, limit=1)
        assert answers == [{worker.hostname: {"ok": "pong"}}]
        shutil.rmtree(folder)
        wait_until((folder / "exchanges").is_dir, seconds=10)
        note.delay(3)
        wait_until(lambda: done == [1, 2, 3], seconds=10)
        assert app.control.ping(timeout=15, limit=1) == answers
