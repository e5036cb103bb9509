"""Following an answer line by line from a bare server, and calls that must end.

The server here is a socket with a script: what it says, byte by byte, is the test.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from venom_site.lib import http, http_patient
from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import Unsupported

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"


class Script:
    """Answers one call with these pieces, then waits, or hangs up when told to."""

    def __init__(self, *pieces: bytes, hang_up: bool = True) -> None:
        self._pieces, self._hang_up = pieces, hang_up
        self.was_left = threading.Event()
        self.is_sent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        caller, _ = self._listener.accept()
        with caller:
            caller.settimeout(10)
            while b"\r\n\r\n" not in caller.recv(65536):
                pass
            with contextlib.suppress(ConnectionError):
                for piece in self._pieces:
                    caller.sendall(piece)
            self.is_sent.set()
            if self._hang_up:
                caller.shutdown(socket.SHUT_WR)
            # Read to the end: closing with unread bytes would be a reset instead.
            with contextlib.suppress(ConnectionError):
                while caller.recv(65536):
                    pass
            self.was_left.set()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(15)


@pytest.fixture
def script():
    made = []

    def make(*pieces: bytes, hang_up: bool = True) -> Script:
        made.append(Script(*pieces, hang_up=hang_up))
        return made[-1]

    yield make
    for one in made:
        one.close()


def follow(url, on_line=lambda line: None, check=lambda: None, idle_seconds=5.0):
    http_patient.follow_lines(
        url, "/pull", {"a": 1}, on_line=on_line, check=check, idle_seconds=idle_seconds
    )


def test_lines_arrive_whole_however_they_were_cut(script):
    server = script(HEAD, b'{"a"', b':1}\n\n{"b":2}\n{"c"', b":3}")
    lines: list[bytes] = []
    follow(server.url, lines.append)
    assert lines == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_line_is_told_before_the_answer_ends(script):
    server = script(HEAD, b"first\n", hang_up=False)

    class Seen(Exception):
        pass

    def on_line(line: bytes) -> None:
        raise Seen(line)

    with pytest.raises(Seen):
        follow(server.url, on_line)
    assert server.was_left.wait(5)


def test_an_end_that_was_asked_for_closes_the_connection_at_once(script):
    server = script(HEAD, b"first\n", hang_up=False)

    class Stop(Exception):
        pass

    asked_at = []

    def check() -> None:
        if server.is_sent.is_set():
            asked_at.append(time.monotonic())
            raise Stop

    with pytest.raises(Stop):
        follow(server.url, check=check)
    assert time.monotonic() - asked_at[0] < 1
    assert server.was_left.wait(5)


def test_the_check_goes_on_while_nothing_comes(script):
    server = script(HEAD, hang_up=False)
    calls = []

    class Enough(Exception):
        pass

    def check() -> None:
        calls.append(time.monotonic())
        if len(calls) == 4:
            raise Enough

    with pytest.raises(Enough):
        follow(server.url, check=check)
    assert calls[-1] - calls[0] < 2


@pytest.mark.django_db
def test_who_hears_a_line_may_use_the_database(script, django_user_model):
    server = script(HEAD, b"first\n")
    counted = []
    follow(server.url, lambda line: counted.append(django_user_model.objects.count()))
    assert counted == [0]


def test_silence_beyond_the_limit_is_a_named_failure(script):
    server = script(HEAD, b"first\n", hang_up=False)
    with pytest.raises(WireError, match="did not answer in time") as caught:
        follow(server.url, idle_seconds=0.3)
    assert caught.value.reason_code == "FALLBACK_TIMEOUT"


def test_a_line_without_an_end_is_refused(script):
    server = script(HEAD, *([b"x" * 65536] * 17))
    with pytest.raises(WireError, match="longer than 1 MiB"):
        follow(server.url)


def test_a_server_that_hangs_up_in_the_middle_is_a_failure(script):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    server = script(head, b"first\nsec")
    lines: list[bytes] = []
    with pytest.raises(WireError, match="broke off"):
        follow(server.url, lines.append)
    assert lines == [b"first"]


def test_a_refusal_carries_the_servers_words(script):
    body = b'{"error":"invalid model name"}'
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    server = script(b"HTTP/1.1 400 Bad Request\r\n" + length, body)
    with pytest.raises(WireError, match="400: invalid model name") as caught:
        follow(server.url)
    assert caught.value.permanent
    assert not isinstance(caught.value, Unsupported)


@pytest.mark.parametrize("status", [b"404 Not Found", b"405 No", b"501 No"])
def test_a_route_nobody_knows_is_unsupported(script, status):
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 18\r\n\r\n"
    server = script(head, b"404 page not found")
    with pytest.raises(Unsupported):
        follow(server.url)


def test_nobody_listening_is_offline():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(WireError) as caught:
        follow(f"http://127.0.0.1:{port}")
    assert caught.value.reason_code == "OFFLINE"


def test_what_no_limit_reaches_is_left_behind_in_time():
    released = threading.Event()
    try:
        with pytest.raises(WireError, match="example did not answer in time"):
            http.within(0.1, "http://example", released.wait)
    finally:
        released.set()


def test_what_ends_in_time_gives_its_result_or_its_error():
    assert http.within(5, "http://example", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        http.within(5, "http://example", lambda: 1 // 0)
