"""The practice file server is checked against what the real Hub was seen to answer."""

import hashlib

import httpx
import pytest

from tests.fakes.file_server import FilesState, build_files
from tests.fakes.server import PracticeServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def state():
    state = FilesState()
    state.serve("model.safetensors", CONTENT)
    state.serve("config.json", b"{}", is_large=False)
    return state


@pytest.fixture
def origin(state):
    server = PracticeServer(build_files, state)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cdn(state):
    server = PracticeServer(build_files, state)
    server.start()
    state.desk.signed_base = server.url
    yield server
    server.stop()


def ask(origin, path, **headers):
    with httpx.Client(trust_env=False, timeout=10) as wire:
        return wire.get(f"{origin.url}/files/{path}", headers=headers)


def test_a_small_file_is_named_by_its_git_hash(origin):
    answer = ask(origin, "config.json")
    git = hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["ETag"] == f'"{git}"'
    assert len(answer.headers["X-Repo-Commit"]) == 40


def test_a_range_is_answered_with_206_and_says_where_it_lies(origin):
    answer = ask(origin, "model.safetensors", Range="bytes=10-19")
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes 10-19/{len(CONTENT)}"
    assert answer.content == CONTENT[10:20]
    assert ask(origin, "model.safetensors", Range="bytes=2000000-").status_code == 416


def test_a_large_file_is_redirected_to_the_other_origin(origin, cdn):
    answer = ask(origin, "model.safetensors")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{cdn.url}/signed/0/")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert answer.headers["X-Linked-Etag"] == f'"{sha256}"'
    assert answer.headers["X-Linked-Size"] == str(len(CONTENT))
    got = httpx.get(answer.headers["Location"], headers={"Range": "bytes=5-"})
    assert got.content == CONTENT[5:]


def test_a_signed_link_expires(origin, cdn, state):
    place = ask(origin, "model.safetensors").headers["Location"]
    assert httpx.head(place).status_code == 200
    state.desk.expire_links()
    assert httpx.get(place).status_code == 403
    assert httpx.get(ask(origin, "model.safetensors").headers["Location"]).is_success


def test_a_missing_file_says_so_as_the_hub_does(origin):
    answer = ask(origin, "nothing.bin")
    assert answer.status_code == 404
    assert answer.headers["X-Error-Code"] == "EntryNotFound"


@pytest.mark.parametrize(
    ("fault", "status", "header", "value"),
    [
        ("status:429:7", 429, "Retry-After", "7"),
        ("status:429:t=9", 429, "RateLimit", '"resolvers";r=0;t=9'),
        ("status:403:GatedRepo", 403, "X-Error-Code", "GatedRepo"),
        ("status:503", 503, "Content-Type", "application/json; charset=utf-8"),
        ("redirect:ftp://127.0.0.1/x", 302, "Location", "ftp://127.0.0.1/x"),
    ],
)
def test_refusals_come_once_and_as_planned(origin, state, fault, status, header, value):
    state.desk.faults.plan("config.json", fault)
    answer = ask(origin, "config.json")
    assert (answer.status_code, answer.headers[header]) == (status, value)
    assert ask(origin, "config.json").is_success


@pytest.mark.parametrize("fault", ["cut:1000", "long:5", "reset"])
def test_some_answers_break_off(origin, state, fault):
    state.desk.faults.plan("model.safetensors", fault)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(origin, "model.safetensors")
    assert ask(origin, "model.safetensors").content == CONTENT


def test_lengths_lie_both_ways(origin, state):
    state.desk.faults.plan("model.safetensors", "short:10")
    assert ask(origin, "model.safetensors").content == CONTENT[:-10]
    for text in ("swollen:10", "chunked:10"):
        state.desk.faults.plan("model.safetensors", text)
        got = ask(origin, "model.safetensors")
        assert got.content == CONTENT + b"\xee" * 10
    assert "Content-Length" not in got.headers


def test_a_wrong_byte_waits_for_the_answer_that_holds_it(origin, state):
    state.desk.faults.plan("model.safetensors", "wrong:500")
    got = ask(origin, "model.safetensors", Range="bytes=600-")
    assert got.content == CONTENT[600:]
    got = ask(origin, "model.safetensors", Range="bytes=400-599")
    assert got.content != CONTENT[400:600]
    assert ask(origin, "model.safetensors").content == CONTENT


def test_ranges_can_be_ignored_or_told_wrongly(origin, state):
    asked = {"Range": "bytes=100-199"}
    state.desk.faults.plan("*", "whole")
    state.desk.faults.plan("*", "wrong_range:3")
    state.desk.faults.plan("*", "wrong_total:3")
    assert ask(origin, "model.safetensors", **asked).status_code == 200
    told = [
        ask(origin, "model.safetensors", **asked).headers["Content-Range"]
        for _ in range(2)
    ]
    size = len(CONTENT)
    assert told == [f"bytes 103-199/{size}", f"bytes 100-199/{size + 3}"]


def test_a_loop_of_redirects_never_ends(origin, state):
    state.desk.faults.plan("config.json", "redirect_loop", times=0)
    with (
        httpx.Client(trust_env=False, follow_redirects=True) as wire,
        pytest.raises(httpx.TooManyRedirects),
    ):
        wire.get(f"{origin.url}/files/config.json")


def test_bytes_that_left_and_who_asked_are_counted(origin, state):
    ask(origin, "model.safetensors", Range="bytes=0-999", Authorization="Bearer x")
    assert state.desk.sent_bytes["model.safetensors"] == 1000
    [asked] = state.desk.asked
    assert (asked.range, asked.authorization) == ("bytes=0-999", "Bearer x")


def test_a_fault_nobody_knows_is_refused_when_it_is_planned(state):
    with pytest.raises(ValueError, match="no fault"):
        state.desk.faults.plan("*", "explode")
