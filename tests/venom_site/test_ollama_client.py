"""The wire to Ollama against the practice one: what it says, and how it fails."""

from __future__ import annotations

import json
import time

import pytest
from aiohttp import web

from tests.fakes.neighbour import NeighbourState, build_application
from tests.fakes.ollama_wire import OllamaDialect
from tests.fakes.server import PracticeServer
from tests.fakes.waiting import wait_until
from venom_site.clients.ollama import OllamaClient
from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import Unsupported


def go_on() -> None:
    """The check of work that nobody ends."""


@pytest.fixture
def client(practice_ollama):
    made = OllamaClient(practice_ollama.url)
    yield made
    made.close()


@pytest.fixture
def odd_client():
    """odd_client({path: body}) → a client of a server that says just this."""
    open_things = []

    def make(answers: dict) -> OllamaClient:
        async def answer(request: web.Request) -> web.Response:
            said = answers[request.path]
            if isinstance(said, bytes):
                return web.Response(body=said)
            return web.json_response(said)

        def build(state: NeighbourState) -> web.Application:
            app = build_application(state, OllamaDialect())
            for path in answers:
                app.router.add_route("*", path, answer)
            return app

        server = PracticeServer(build, NeighbourState(version="0"))
        server.start()
        open_things.append(server)
        made = OllamaClient(server.url)
        open_things.append(made)
        return made

    yield make
    for thing in reversed(open_things):
        thing.stop() if isinstance(thing, PracticeServer) else thing.close()


def test_the_list_carries_what_the_registry_of_models_needs(client):
    model = {entry.name: entry for entry in client.tags()}["gemma3:4b"]
    assert model.size_bytes == 3_338_801_804
    assert len(model.digest) == 64
    assert (model.format, model.family) == ("gguf", "gemma3")
    assert (model.parameter_size, model.quantization) == ("4.3B", "Q4_K_M")
    assert model.modified_at
    assert not model.is_remote


def test_an_old_server_leaves_its_capabilities_unsaid(client, practice_ollama):
    practice_ollama.state.version = "0.16.3"
    assert {entry.capabilities for entry in client.tags()} == {None}


def test_a_model_is_shown_with_its_own_longest_context(client):
    shown = client.show("gemma3:4b")
    assert shown.context_length == 131_072
    assert "completion" in shown.capabilities
    assert "vision" in shown.capabilities
    assert "num_ctx" in shown.parameters
    assert shown.license
    assert shown.model_info["general.architecture"] == "gemma3"


def test_showing_what_is_not_there_says_so(client):
    with pytest.raises(WireError, match="not found") as caught:
        client.show("nobody:1b")
    assert caught.value.reason_code == "MODEL_NOT_FOUND"


def test_a_pull_tells_bytes_and_ends_with_the_model_installed(client, practice_ollama):
    lines = []
    client.pull("qwen3:0.6b", on_line=lines.append, check=go_on)
    assert lines[0].status == "pulling manifest"
    assert lines[-1].status == "success"
    assert max(line.completed for line in lines) > 100_000_000
    assert "qwen3:0.6b" in practice_ollama.state.model_names()


def test_an_error_line_behind_a_200_fails_the_pull(client):
    with pytest.raises(WireError, match="file does not exist"):
        client.pull("nobody:1b", on_line=lambda line: None, check=go_on)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"pulling manifest"}\n',
        b"",
        b'{"status":"success"}\n{"status":"pulling manifest"}\n',
    ],
)
def test_a_pull_that_ends_without_success_is_a_failure(odd_client, body):
    client = odd_client({"/api/pull": body})
    with pytest.raises(WireError, match="before the server said success") as caught:
        client.pull("m", on_line=lambda line: None, check=go_on)
    assert not caught.value.permanent


@pytest.mark.parametrize("line", [b"<html>", b"[1]", b"null", b"[" * 100_000, b"\xff"])
def test_a_line_of_garbage_fails_the_pull(odd_client, line):
    client = odd_client({"/api/pull": line + b"\n"})
    with pytest.raises(WireError):
        client.pull("m", on_line=lambda line: None, check=go_on)


def test_a_pull_line_with_fields_of_wrong_types_still_counts(odd_client):
    odd = {"status": 7, "digest": None, "total": "many", "completed": -5}
    body = json.dumps(odd).encode() + b'\n{"status":"success"}\n'
    lines = []
    odd_client({"/api/pull": body}).pull("m", on_line=lines.append, check=go_on)
    assert (lines[0].status, lines[0].total, lines[0].completed) == ("", 0, 0)


def test_leaving_a_pull_ends_it_on_the_server(client, practice_ollama):
    class Stop(Exception):
        pass

    def on_line(line) -> None:
        if line.total:
            raise Stop

    practice_ollama.state.faults.plan("/api/pull", "stall_mid_stream:1")
    with pytest.raises(Stop):
        client.pull("qwen3:0.6b", on_line=on_line, check=go_on)
    wait_until(lambda: practice_ollama.state.cancelled == 1)
    assert "qwen3:0.6b" not in practice_ollama.state.model_names()


def test_deleting_says_whether_there_was_something(client, practice_ollama):
    assert client.delete("phi3:mini") is True
    assert "phi3:mini" not in practice_ollama.state.model_names()
    assert client.delete("phi3:mini") is False


def test_a_server_without_the_route_is_unsupported(odd_client):
    client = odd_client({"/api/tags": {"models": []}})
    with pytest.raises(Unsupported):
        client.delete("m")
    with pytest.raises(Unsupported):
        client.pull("m", on_line=lambda line: None, check=go_on)


def test_a_whole_answer_comes_with_its_counts(client):
    talk = [{"role": "user", "content": "Say hello"}]
    said = client.chat("gemma3:4b", talk, seconds=10, check=go_on)
    assert said.text
    assert said.model == "gemma3:4b"
    assert said.done_reason == "stop"
    assert said.output_tokens


def test_what_only_embeds_is_loaded_by_an_embedding(client, practice_ollama):
    practice_ollama.state.add_model("nomic-embed-text:latest")
    client.load("nomic-embed-text:latest", keep_alive="5m", seconds=10, check=go_on)
    assert [model.name for model in client.loaded()] == ["nomic-embed-text:latest"]
    assert practice_ollama.state.last_bodies["/api/embed"]["keep_alive"] == "5m"


def test_no_embedding_follows_another_refusal(client, practice_ollama):
    practice_ollama.state.faults.plan("/api/chat", "status:500")
    with pytest.raises(WireError):
        client.load("gemma3:4b", keep_alive="5m", seconds=10, check=go_on)
    with pytest.raises(WireError, match="not found"):
        client.load("nobody:1b", keep_alive="5m", seconds=10, check=go_on)
    assert not practice_ollama.state.requests["/api/embed"]


def test_keeping_for_no_time_frees_the_memory(client):
    client.load("gemma3:4b", keep_alive="5m", seconds=10, check=go_on)
    assert [model.name for model in client.loaded()] == ["gemma3:4b"]
    client.keep("gemma3:4b", keep_alive=0)
    wait_until(lambda: client.loaded() == [])


@pytest.mark.parametrize(
    "body",
    [[], None, {}, {"models": 7}, "tags", {"error": "disk on fire"}, b"<html>"],
)
def test_a_list_that_is_none_is_a_failure(odd_client, body):
    client = odd_client({"/api/tags": body, "/api/ps": body})
    with pytest.raises(WireError):
        client.tags()
    with pytest.raises(WireError):
        client.loaded()


def test_a_list_of_nothing_is_empty(odd_client):
    client = odd_client({"/api/tags": {"models": []}, "/api/ps": {"models": None}})
    assert client.tags() == []
    assert client.loaded() == []


def test_a_list_with_odd_fields_is_read_as_far_as_it_goes(odd_client):
    entries = [
        "no model",
        {"name": "a:1b", "size": True, "details": "none", "digest": 7},
        {"model": "b\x00:1b", "size": 10**30, "capabilities": ["tools", 7]},
        {"model": "c:1b", "size": 5.0, "digest": "sha256:abc", "remote_model": "x"},
    ]
    first, second, third = odd_client({"/api/tags": {"models": entries}}).tags()
    assert (first.name, first.size_bytes, first.digest) == ("a:1b", None, "")
    assert (second.name, second.size_bytes) == ("b:1b", None)
    assert second.capabilities == ("tools",)
    assert (third.size_bytes, third.digest, third.is_remote) == (5, "abc", True)


def test_a_thousand_models_are_read_within_the_time_of_a_look(client, practice_ollama):
    for number in range(1000):
        practice_ollama.state.add_model(f"model-{number}:7b")
    began = time.perf_counter()
    assert len(client.tags()) == 1002
    assert time.perf_counter() - began < 1
