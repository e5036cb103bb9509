"""The whole product in uvicorn, in a thread, for tests that speak HTTP to it.

Loaded as the plugin `tests.serving`. Rows that the server's threads must see need a
transactional database, which the fixture brings.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import openai
import pytest
import uvicorn
from django.conf import settings
from django.db import connection

from history_app.models import RequestRecord
from history_app.recorder import recorder
from runtime_app.choices import ActivationState, RuntimeKind, RuntimeStatus
from runtime_app.governance import keys
from runtime_app.governance.policy import bump_policy, policy_number
from runtime_app.models import Activation
from tests.factories import RuntimeFactory
from tests.fakes.waiting import wait_until
from venom_site.lib.access import SYSTEM, Scope


class ServerThread:
    """uvicorn on a free port of loopback."""

    def __init__(self) -> None:
        from venom_site.asgi import application

        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}
        )

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started)

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join(15)
        assert not self._thread.is_alive()
        self._socket.close()


class ServerProcess:
    """A server of its own on a free port, on the database of the test.

    It ends within ten seconds of SIGTERM, whatever it is doing.
    """

    ends_with = 0

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> tuple[str, ...]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.command()],
            env={**os.environ, "DATABASE_URL": database_url()},
        )
        wait_until(self._is_up, seconds=30)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.ask_to_stop()
            self.wait()

    def kill(self) -> None:
        """kill -9, as by the machine; there is nothing to end any more."""
        self._process.kill()
        self._process.wait(10)

    def ask_to_stop(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        try:
            assert self._process.wait(10) == self.ends_with
        finally:
            self._process.kill()

    def memory_bytes(self) -> int:
        """Resident, of this process alone."""
        statm = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def answers(self) -> bool:
        """Whether it takes a new connection."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _is_up(self) -> bool:
        assert self._process.poll() is None
        return self.answers()


class DaphneProcess(ServerProcess):
    """As `runserver` and the web service of the full deployment."""

    def command(self) -> tuple[str, ...]:
        return (
            *("daphne", "-b", "127.0.0.1", "-p", str(self.port)),
            *("-v0", "venom_site.asgi:application"),
        )


class UvicornProcess(ServerProcess):
    """As `manage.py up` and the gateway service; it ends by the signal it was sent."""

    ends_with = -signal.SIGTERM

    def command(self) -> tuple[str, ...]:
        return (
            *("uvicorn", "venom_site.asgi:application", "--port", str(self.port)),
            *("--timeout-graceful-shutdown", "4", "--log-level", "warning"),
            *("--timeout-keep-alive", "75"),
        )


def database_url() -> str:
    """The test's own database, for a process that is to share it."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    login = f"{given['USER']}:{given['PASSWORD']}".rstrip(":")
    return f"postgres://{login}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


KINDS = {"ollama": RuntimeKind.OLLAMA, "vllm": RuntimeKind.VLLM}


def add_server(name: str, url: str, *models: str, active: str = "", **fields):
    """A server's row as a health check would have left it; `active` one of its
    models."""
    kind = KINDS.get(name, RuntimeKind.OPENAI_COMPATIBLE)
    runtime = RuntimeFactory(
        name=name,
        kind=kind,
        display_name=name.title(),
        base_url=url if kind is RuntimeKind.OLLAMA else f"{url}/v1",
        status=RuntimeStatus.ONLINE,
        served_models=[{"name": model} for model in models],
        **fields,
    )
    if active:
        Activation.objects.create(
            node=runtime.node,
            runtime=runtime,
            model_name=active,
            served_name=active,
            state=ActivationState.ACTIVE,
        )
    return runtime


@dataclass
class Gateway:
    """The running product as its clients see it, and the rows it reads."""

    server: ServerThread | ServerProcess
    key: str
    _clients: list = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def openai(self, key: str | None = None) -> openai.OpenAI:
        client = openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key, max_retries=0
        )
        self._clients.append(client)
        return client

    def http(self, key: str | None = None) -> httpx.Client:
        client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key}"},
            trust_env=False,
            timeout=60,
        )
        self._clients.append(client)
        return client

    def raw(self, path: str, body: dict, sent: float = 1) -> socket.socket:
        """A client that has sent that part of its body and reads nothing, until the
        test does."""
        content = json.dumps(body).encode()
        lines = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self.key}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        port = int(self.url.rpartition(":")[2])
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(lines.encode() + content[: int(sent * len(content))])
        return client

    def add(self, name: str, url: str, *models: str, active: str = "", **fields):
        runtime = add_server(name, url, *models, active=active, **fields)
        self.reload()
        return runtime

    def reload(self) -> None:
        """Say that something changed and wait until the server has seen it."""
        from runtime_app.gateway.app import app

        bump_policy()
        number = policy_number()
        wait_until(
            lambda: app.snapshot is not None and app.snapshot.number >= number,
            seconds=5,
        )

    def new_key(self, name: str, *scopes: Scope) -> str:
        _row, key = keys.create_key(name, list(scopes), actor=SYSTEM)
        self.reload()
        return key

    def record(self, **wanted) -> RequestRecord:
        """The newest row of the history once it has ended."""
        wait_until(lambda: self._ended(**wanted), seconds=5)
        return RequestRecord.objects.filter(**wanted).newest_first()[0]

    def _ended(self, **wanted) -> bool:
        recorder.flush()
        row = RequestRecord.objects.filter(**wanted).newest_first().first()
        return row is not None and row.finished_at is not None

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def deadlines(monkeypatch):
    """deadlines(VENOM_STREAM_IDLE_SECONDS=0.3): set before `gateway` starts."""

    def set_seconds(**seconds: float) -> None:
        env = settings.ENV.model_copy(update=seconds)
        monkeypatch.setattr(settings, "ENV", env)

    return set_seconds


@pytest.fixture
def start_gateway(transactional_db, monkeypatch) -> Iterator:
    """start_gateway() → the product, served; for tests that set deadlines first."""
    monkeypatch.setattr(settings, "GATEWAY_POLL_SECONDS", 0.02)
    running: list[Gateway] = []

    def start() -> Gateway:
        _row, key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)
        gateway = Gateway(ServerThread(), key)
        running.append(gateway)
        gateway.server.start()
        return gateway

    yield start
    for gateway in running:
        gateway.close()
        gateway.server.stop()


@pytest.fixture
def gateway(start_gateway) -> Gateway:
    return start_gateway()


@pytest.fixture
def web(transactional_db) -> Iterator[ServerThread]:
    """The running product alone, without servers or keys."""
    server = ServerThread()
    server.start()
    yield server
    server.stop()
