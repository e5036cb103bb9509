"""Celery's broker on a machine without Redis: `files://`, a folder of messages.

`venom_site/celery.py` calls `register()` before it makes the Celery app; the broker
URL is then `files://` and the transport options are `{"folder": "<data>/run/broker"}`.
Messages may be lost or repeated here: the Operation row is the truth. Remote control
(inspect, ping) works; priorities do not. Must never kill a worker over a bad file.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import quote

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.utils.json import dumps, loads

from venom_site.embedded.mailbox import Mailbox

# What a message file holds and a row of an exchange's table, in kombu's own words.
Payload = dict[str, Any]
Binding = tuple[str, str, str]  # routing key, pattern, queue


def register() -> None:
    """Makes `files://` known to kombu."""
    TRANSPORT_ALIASES["files"] = f"{__name__}:Transport"


class Channel(virtual.Channel):
    """One conversation with the folder; kombu calls the methods with underscores."""

    supports_fanout = True

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._folder = connection.folder
        self._mailbox = connection.mailbox
        self._mailbox.make_folders()

    def _put(self, queue: str, message: Payload, **_kwargs: Any) -> None:
        self._mailbox.put(queue, dumps(message))

    def _put_fanout(
        self, exchange: str, payload: Payload, _routing_key: str, **kwargs: Any
    ) -> None:
        for _, _, queue in self.get_table(exchange):
            self._put(queue, payload, **kwargs)

    def _get(self, queue: str, timeout: float | None = None) -> Payload:
        payload = self._mailbox.take(queue, self._read)
        if payload is None:
            raise Empty
        return payload

    def _read(self, text: str) -> Payload:
        """The message, after trying on it all that kombu will do with it."""
        try:
            payload: Payload = loads(text)
            self.Message(payload, channel=self)
        except (LookupError, TypeError, AttributeError, RecursionError) as flaw:
            raise ValueError(f"not a message: {flaw!r}") from flaw
        return payload

    def _size(self, queue: str) -> int:
        return len(self._mailbox.names(queue))

    def _purge(self, queue: str) -> int:
        return self._mailbox.remove_all(queue)

    # The tables of exchanges are files too, since each process must see who listens.

    def _table_file(self, exchange: str) -> Path:
        return self._folder / "exchanges" / f"{quote(exchange, safe='')}.json"

    def get_table(self, exchange: str) -> list[Binding]:
        """The queues bound to the exchange by any process."""
        try:
            rows = json.loads(self._table_file(exchange).read_text(encoding="utf-8"))
            return [(str(key), str(pattern), str(name)) for key, pattern, name in rows]
        except (FileNotFoundError, ValueError, TypeError):
            return []  # the next worker that starts writes it anew

    def _queue_bind(
        self, exchange: str, routing_key: str, pattern: str, queue: str
    ) -> None:
        row = (routing_key or "", pattern or "", queue or "")
        with self._exchanges_locked():
            table = self.get_table(exchange)
            if row not in table:
                self._write_table(exchange, [row, *table])

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue)
        exchange = args[0]
        with self._exchanges_locked():
            table = self.get_table(exchange)
            kept = [row for row in table if row[2] != queue]
            if kept != table:
                self._write_table(exchange, kept)

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Binds; kombu alone would skip what it bound before the folder was lost."""
        super().queue_bind(queue, exchange, routing_key, arguments, **kwargs)
        self._bind_row(queue, exchange or "amq.direct", routing_key, arguments)

    def bind_again(self) -> None:
        """Writes this channel's bindings once more after the folder was removed."""
        for queue in self._active_queues:
            for exchange, key, arguments in self.state.queue_bindings(queue):
                self._bind_row(queue, exchange, key, arguments)

    def _bind_row(
        self, queue: str, exchange: str, key: str, arguments: dict[str, Any] | None
    ) -> None:
        kind = self.typeof(exchange)
        row: Any = kind.prepare_bind(queue, exchange, key, arguments or {})
        self._queue_bind(exchange, *row)

    def _write_table(self, exchange: str, table: list[Binding]) -> None:
        file = self._table_file(exchange)
        draft = file.with_suffix(".tmp")
        draft.write_text(json.dumps(table), encoding="utf-8")
        draft.replace(file)

    @contextmanager
    def _exchanges_locked(self) -> Iterator[None]:
        folder = self._folder / "exchanges"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Transport(virtual.Transport):
    """The transport behind `files://`."""

    Channel = Channel
    driver_type = "files"
    driver_name = "files"
    default_port = 0
    polling_interval = 0.2
    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct", "topic", "fanout"])
    )
    # A full disk or a folder out of reach passes: Celery then waits and reconnects.
    connection_errors = (*virtual.Transport.connection_errors, OSError)

    @cached_property
    def folder(self) -> Path:
        """Where the messages are: the transport option `folder`."""
        client: Any = self.client  # never None while there is a connection
        return Path(client.transport_options["folder"])

    @cached_property
    def mailbox(self) -> Mailbox:
        """One for all channels, so that each poll looks at the folder once."""
        return Mailbox(self.folder, on_loss=self._bind_again)

    def _bind_again(self) -> None:
        channels: Any = self.channels
        for channel in channels:
            channel.bind_again()

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """None: a folder has no host, and kombu would warn that none was given."""
        return {}

    def driver_version(self) -> str:
        """There is no driver beside ourselves."""
        return "1"
