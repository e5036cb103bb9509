"""Both practice neighbours break as they are told, and record who asked what."""

import json
import threading
import time

import httpx
import pytest

from tests.fakes.waiting import wait_until

pytest_plugins = ("tests.fakes.fixtures",)
PATH = "/v1/chat/completions"
ENDPOINTS = [
    ("practice_ollama", "gemma3:4b"),
    ("practice_openai", "practice-7b"),
]


@pytest.fixture(params=ENDPOINTS, ids=[name for name, _ in ENDPOINTS])
def neighbour(request):
    name, model = request.param
    server = request.getfixturevalue(name)
    server.ask = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return server


@pytest.fixture
def http(neighbour):
    with httpx.Client(base_url=neighbour.url, timeout=5) as http:
        yield http


def read_stream(http, ask, heard=None):
    """Return all that arrived and the exception that ended it, if one did; `heard` is
    set with the first of it."""
    told = b""
    with http.stream("POST", PATH, json={**ask, "stream": True}) as answer:
        try:
            for piece in answer.iter_raw():
                told += piece
                if heard is not None:
                    heard.set()
        except httpx.TransportError as cut:
            return told, cut
    return told, None


def words_in(told):
    events = [event for event in told.decode().split("\n\n") if event]
    chunks = [json.loads(e.removeprefix("data: ")) for e in events if e[6:7] == "{"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    return [delta["content"] for delta in deltas if delta.get("content")]


@pytest.mark.parametrize("status", [500, 503, 404])
def test_a_planned_status_is_answered_as_often_as_planned(neighbour, http, status):
    neighbour.state.faults.plan(PATH, f"status:{status}", times=2)
    answers = [http.post(PATH, json=neighbour.ask) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].json()["error"]["message"]
    assert http.get("/v1/models").status_code == 200


def test_the_busy_ollama_says_so_with_two_spaces(practice_ollama):
    practice_ollama.state.faults.plan("*", "status:503")
    answer = httpx.post(f"{practice_ollama.url}/api/chat", json={"model": "gemma3:4b"})
    assert answer.json() == {
        "error": "server busy, please try again.  maximum pending requests exceeded"
    }


@pytest.mark.parametrize("tokens", [0, 4])
def test_a_cut_after_tokens_lets_exactly_these_through(neighbour, http, tokens):
    neighbour.state.faults.plan(PATH, f"cut_after_tokens:{tokens}")
    try:
        told, cut = read_stream(http, neighbour.ask)
    except httpx.RemoteProtocolError as early:  # not even the headers had left
        told, cut = b"", early
    assert isinstance(cut, httpx.RemoteProtocolError)
    assert len(words_in(told)) == tokens
    assert b"[DONE]" not in told
    assert neighbour.state.cancelled == 0


def test_a_cut_in_mid_line_ends_inside_an_event(neighbour, http):
    neighbour.state.faults.plan(PATH, "cut_mid_line")
    told, cut = read_stream(http, neighbour.ask)
    assert isinstance(cut, httpx.RemoteProtocolError)
    whole, _, half = told.rpartition(b"\n\n")
    assert len(words_in(whole)) == 2
    assert half.startswith(b"data: {")
    assert not half.endswith(b"}")


def test_a_short_answer_does_not_escape_its_cut(neighbour, http):
    neighbour.state.faults.plan(PATH, "cut_after_tokens:9")
    told, cut = read_stream(http, {**neighbour.ask, "max_tokens": 1})
    assert cut is not None
    assert len(words_in(told)) == 1


def test_an_answer_in_one_piece_is_cut_in_half(neighbour, http):
    neighbour.state.faults.plan(PATH, "cut_mid_line")
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(PATH, json=neighbour.ask)
    assert http.post(PATH, json=neighbour.ask).status_code == 200


def test_a_stall_before_the_first_byte_sends_nothing_until_the_client_leaves(
    neighbour, http
):
    neighbour.state.faults.plan(PATH, "stall_before_first_byte")
    with pytest.raises(httpx.ReadTimeout):
        http.post(PATH, json=neighbour.ask, timeout=0.2)
    wait_until(lambda: neighbour.state.cancelled == 1)
    assert neighbour.state.in_flight == 0


def test_a_stall_in_mid_stream_falls_silent_after_its_tokens(neighbour, http):
    neighbour.state.faults.plan(PATH, "stall_mid_stream:3")
    http.timeout = httpx.Timeout(0.2)
    told, silence = read_stream(http, neighbour.ask)
    assert isinstance(silence, httpx.ReadTimeout)
    assert len(words_in(told)) == 3
    wait_until(lambda: neighbour.state.cancelled == 1)


def test_slow_headers_come_late_but_whole(neighbour, http):
    neighbour.state.faults.plan(PATH, "slow_headers:0.3")
    began = time.monotonic()
    assert http.post(PATH, json=neighbour.ask).json()["choices"]
    assert time.monotonic() - began >= 0.3


def test_garbage_is_a_200_that_no_parser_takes(neighbour, http):
    neighbour.state.faults.plan(PATH, "garbage")
    answer = http.post(PATH, json=neighbour.ask)
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_a_client_that_leaves_cancels_its_generation(neighbour, http):
    neighbour.state.tokens_per_second = 50
    neighbour.state.answer_tokens = 10_000
    with http.stream("POST", PATH, json={**neighbour.ask, "stream": True}) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        assert neighbour.state.in_flight == 1
    wait_until(lambda: neighbour.state.cancelled == 1)
    assert neighbour.state.in_flight == 0


def test_it_remembers_counts_bodies_and_headers(neighbour, http):
    http.post(PATH, json=neighbour.ask, headers={"X-Mark": "yes"})
    http.get("/v1/models")
    seen = http.get("/__practice__/state").json()
    assert seen["requests"] == {PATH: 1, "/v1/models": 1}
    assert seen["last_bodies"][PATH] == neighbour.ask
    assert seen["last_headers"][PATH]["X-Mark"] == "yes"
    assert (seen["in_flight"], seen["cancelled"]) == (0, 0)


def test_faults_models_and_version_change_over_http(neighbour, http):
    plan = {"path": "/v1/models", "fault": "status:500", "times": 0}
    assert http.post("/__practice__/faults", json=plan).json()["faults"] == [plan]
    assert [http.get("/v1/models").status_code for _ in range(2)] == [500, 500]
    assert http.delete("/__practice__/faults").json()["faults"] == []
    http.post("/__practice__/models", json={"add": ["new:1b"]})
    assert "new:1b" in http.get("/v1/models").text
    http.post("/__practice__/models", json={"remove": ["new:1b"]})
    assert "new:1b" not in http.get("/v1/models").text
    assert http.post("/__practice__/version", json={"version": "9"}).status_code == 200
    assert neighbour.state.version == "9"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"{", "The body is not JSON."),
        (b"[]", "The body must be a JSON object."),
        (b'{"path":"*"}', "The field 'fault' is missing."),
        (b'{"path":"*","fault":"status"}', "The fault status needs a number"),
        (b'{"path":"*","fault":"status:200"}', "A fault status lies between"),
        (b'{"path":"*","fault":"sulk"}', "Unknown fault 'sulk'"),
    ],
)
def test_a_fault_nobody_can_play_is_refused_with_a_sentence(
    practice_ollama, sent, reason
):
    door = f"{practice_ollama.url}/__practice__/faults"
    answer = httpx.post(door, content=sent)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(reason)


def test_a_stopped_neighbour_refuses_and_comes_back_on_its_port(neighbour):
    url = f"{neighbour.url}/v1/models"
    assert httpx.get(url).status_code == 200
    neighbour.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    neighbour.start()
    assert httpx.get(url).status_code == 200
    assert neighbour.state.requests["/v1/models"] == 2


def test_stopping_cuts_an_open_stream_and_counts_no_lost_client(neighbour, http):
    neighbour.state.tokens_per_second = 50
    neighbour.state.answer_tokens = 10_000
    outcome, heard = [], threading.Event()
    reader = threading.Thread(
        target=lambda: outcome.append(read_stream(http, neighbour.ask, heard))
    )
    reader.start()
    assert heard.wait(timeout=5)  # in flight is not yet open: headers come later
    neighbour.stop()
    reader.join(timeout=5)
    assert not reader.is_alive()
    told, cut = outcome[0]
    assert isinstance(cut, httpx.TransportError)
    assert b"[DONE]" not in told
    assert neighbour.state.cancelled == 0


def test_a_body_may_wish_a_fault_for_the_model_that_gets_it(neighbour, http):
    """Where many ask at once nobody knows who takes a planned one."""
    model = neighbour.ask["model"]
    wished = {**neighbour.ask, "practice_faults": {model: "status:500"}}
    others = {**neighbour.ask, "practice_faults": {"another": "status:500"}}
    assert http.post(PATH, json=wished).status_code == 500
    assert http.post(PATH, json=others).status_code == 200
    assert http.post(PATH, json=neighbour.ask).status_code == 200
