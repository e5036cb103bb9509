"""The wire to one server, where a general client would have been: odd answers."""

import asyncio
import contextlib
import socket
import threading

import pytest

from runtime_app.gateway import upstream
from runtime_app.gateway.upstream import Upstream, UpstreamCut, UpstreamFailed
from tests.fakes.raw import RawServer
from tests.fakes.tls import practice_certificate, tunnel

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class KeptServer:
    """Answers each request on a connection that it keeps, and remembers them."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.connections = 0
        self.heard: list[bytes] = []

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while heard := connection.recv(1 << 16):
                self.heard.append(heard)
                number = min(len(self.heard), len(self._answers)) - 1
                connection.sendall(self._answers[number])


def asked(url: str, *, times: int = 1, key: str | None = None) -> list[bytes]:
    """The bodies of so many answers, one after the other."""

    async def ask() -> list[bytes]:
        server, bodies = Upstream(url, 5), []
        try:
            for _ in range(times):
                async with asyncio.timeout(10):
                    answer = await server.post("/v1/chat/completions", b"{}", key)
                    bodies.append(await answer.whole())
                    answer.close()
        finally:
            await server.close()
        return bodies

    return asyncio.run(ask())


def test_one_connection_serves_one_answer_after_the_other():
    with KeptServer(OK) as server:
        assert asked(server.url, times=3) == [b"ok"] * 3
    assert server.connections == 1


def test_what_is_sent_is_one_plain_request_with_the_servers_own_key():
    with KeptServer(OK) as server:
        asked(server.url, key="secret")
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "Authorization: Bearer secret" in lines
    assert "Accept-Encoding: identity" in lines
    assert (lines[-1], body) == ("Content-Length: 2", b"{}")


def test_name_and_password_of_the_address_are_sent_and_a_key_goes_before_them():
    with KeptServer(OK) as server:
        url = server.url.replace("127", "anna:b%40c@127")
        asked(url)
        asked(url, key="own")
    assert b"Authorization: Basic YW5uYTpiQGM=\r\n" in server.heard[0]
    assert b"Authorization: Bearer own\r\n" in server.heard[1]
    assert b"anna" not in server.heard[1]


def test_an_answer_may_last_until_the_server_closes():
    with RawServer(iter([b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end"])) as server:
        assert asked(server.url) == [b"to the end"]


def test_a_first_word_before_the_answer_is_passed_over():
    with KeptServer(b"HTTP/1.1 100 Continue\r\n\r\n" + OK) as server:
        assert asked(server.url) == [b"ok"]


def test_trailers_after_a_chunked_answer_change_nothing():
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nContent-Type: text/odd\r\n\r\n"
    )
    with KeptServer(chunked) as server:
        assert asked(server.url, times=2) == [b"ok"] * 2
    assert server.connections == 1


@pytest.mark.parametrize("surplus", [b"more", OK], ids=["bytes", "second answer"])
def test_what_comes_after_the_answer_costs_the_connection_and_nothing_else(surplus):
    with KeptServer(OK + surplus) as server:
        assert asked(server.url, times=2) == [b"ok"] * 2
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
    ids=["another protocol", "two lengths", "another protocol on wish", "endless head"],
)
def test_what_is_no_answer_is_malformed(answer):
    with KeptServer(answer) as server, pytest.raises(UpstreamFailed) as failed:
        asked(server.url)
    assert failed.value.kind == "malformed"


def test_a_body_that_ends_too_soon_is_a_cut():
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    with RawServer(iter([short])) as server, pytest.raises(UpstreamCut):
        asked(server.url)


def test_nobody_at_the_address_and_a_name_that_does_not_exist_are_offline():
    for url in ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"):
        with pytest.raises(UpstreamFailed) as failed:
            asked(url)
        assert failed.value.kind == "offline"


def test_a_greeting_that_is_no_tls_is_offline():
    with (
        KeptServer(b"plain words") as server,
        pytest.raises(UpstreamFailed) as failed,
    ):
        asked(server.url.replace("http:", "https:"))
    assert failed.value.kind == "offline"


def test_an_answer_through_tls_is_the_same(tmp_path, monkeypatch):
    server_side, client_side = practice_certificate(tmp_path)
    monkeypatch.setattr(upstream, "_tls", lambda: client_side)
    with KeptServer(OK) as server, tunnel(server_side, server.url) as url:
        assert (
            asked(url.rstrip("/").removesuffix("/v1") + "/v1", times=2) == [b"ok"] * 2
        )


def test_an_idle_connection_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(upstream, "_IDLE_SECONDS", 0.1)

    async def leave_idle(url: str) -> int:
        server = Upstream(url, 5)
        answer = await server.post("/v1/chat/completions", b"{}", None)
        await answer.whole()
        answer.close()
        assert len(server._idle) == 1
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not server._idle:
                break
        left = len(server._idle)
        await server.close()
        return left

    with KeptServer(OK) as server:
        assert asyncio.run(leave_idle(server.url)) == 0


def test_an_address_of_version_six_is_written_in_brackets():
    server = Upstream("http://[::1]:8001/v1", 5)
    assert server._written_head("/v1/models", None).startswith(
        b"POST /v1/models HTTP/1.1\r\nHost: [::1]:8001\r\n"
    )
