"""What the practice Ollama keeps in memory, evicts and refuses to load."""

import json
import threading
from datetime import datetime, timedelta

import httpx
import ollama
import openai
import pytest

from tests.fakes.ollama_memory import memory_of
from tests.fakes.waiting import wait_until

pytest_plugins = ("tests.fakes.fixtures",)
GEMMA, PHI = "gemma3:4b", "phi3:mini"
HELLO = [{"role": "user", "content": "Dzień dobry"}]
BUSY = "server busy, please try again.  maximum pending requests exceeded"


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


@pytest.fixture
def state(practice_ollama):
    return practice_ollama.state


@pytest.fixture
def in_background():
    """Run calls in threads that have ended when the test has."""
    threads = []

    def start(call):
        thread = threading.Thread(target=call)
        thread.start()
        threads.append(thread)
        return thread

    yield start
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def load(http, model, **more):
    return http.post("/api/generate", json={"model": model, **more})


def loaded(http):
    return [row["name"] for row in http.get("/api/ps").json()["models"]]


def minutes_left(http):
    [row] = http.get("/api/ps").json()["models"]
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now().astimezone()
    return left.total_seconds() / 60


def chat_slowly(http, state, in_background, model=GEMMA):
    """Start a chat that goes on until `answer_tokens` run out; returns its lines."""
    state.tokens_per_second, state.answer_tokens = 50, 10_000
    lines = []

    def read():
        ask = {"model": model, "messages": HELLO}
        with http.stream("POST", "/api/chat", json=ask) as answer:
            for line in answer.iter_lines():
                lines.append(json.loads(line))
                if state.answer_tokens == 1:  # told to stop
                    return

    in_background(read)
    wait_until(lambda: lines)
    return lines


def hang_up(state):
    state.answer_tokens = 1


def test_unloading_answers_at_once_and_frees_a_little_later(http):
    load(http, GEMMA)
    answer = load(http, GEMMA, keep_alive=0).json()
    assert (answer["done"], answer["done_reason"]) == (True, "unload")
    assert loaded(http) == [GEMMA]
    wait_until(lambda: not loaded(http))


def test_unloading_what_is_not_loaded_is_a_200_and_what_is_unknown_a_404(http):
    assert load(http, GEMMA, keep_alive=0).json()["done_reason"] == "unload"
    refused = load(http, "nobody:1b", keep_alive=0)
    assert (refused.status_code, refused.json()) == (
        404,
        {"error": "model 'nobody:1b' not found"},
    )


def test_unloading_during_an_answer_waits_for_its_end(http, state, in_background):
    chat_slowly(http, state, in_background)
    load(http, GEMMA, keep_alive=0)
    assert state.memory[GEMMA].keep_alive == timedelta(0)
    assert loaded(http) == [GEMMA]
    hang_up(state)
    wait_until(lambda: not loaded(http))


def test_a_request_that_names_no_keep_alive_leaves_a_pinned_model_pinned(http):
    load(http, GEMMA, keep_alive=-1)
    ask = {"model": GEMMA, "messages": HELLO}
    http.post("/v1/chat/completions", json=ask)
    assert minutes_left(http) > 60 * 24 * 365
    http.post("/api/chat", json={**ask, "keep_alive": "10m"})
    assert minutes_left(http) == pytest.approx(10, abs=0.2)


def test_deleting_a_loaded_model_does_not_unload_it(http):
    load(http, GEMMA)
    http.request("DELETE", "/api/delete", json={"model": GEMMA})
    assert loaded(http) == [GEMMA]


def test_ps_lists_the_longest_remaining_first(http):
    load(http, GEMMA, keep_alive="10m")
    load(http, PHI, keep_alive=-1)
    assert loaded(http) == [PHI, GEMMA]


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_size_vram_tells_how_much_is_on_the_gpu(http, state, share):
    state.vram_share = share
    load(http, GEMMA)
    [row] = http.get("/api/ps").json()["models"]
    assert row["size_vram"] == int(row["size"] * share)
    assert row["size"] == memory_of(state.find(GEMMA), 4096)


def test_a_second_model_evicts_the_first_when_both_do_not_fit(http, state):
    state.vram_bytes = memory_of(state.find(GEMMA), 4096) + 1
    load(http, GEMMA)
    load(http, PHI)
    assert loaded(http) == [PHI]


def test_no_more_models_are_loaded_than_allowed_the_shortest_kept_goes(http, state):
    state.add_model("qwen3:0.6b")
    state.max_loaded_models = 2
    for model, keep in [(GEMMA, "10m"), (PHI, "5m"), ("qwen3:0.6b", "1m")]:
        load(http, model, keep_alive=keep)
    assert loaded(http) == [GEMMA, "qwen3:0.6b"]


def test_an_eviction_waits_for_the_answer_that_is_going_on(http, state, in_background):
    state.max_loaded_models = 1
    chat_slowly(http, state, in_background)
    second = in_background(lambda: load(http, PHI))
    wait_until(lambda: state.is_loading)
    assert loaded(http) == [GEMMA]
    hang_up(state)
    second.join(timeout=5)
    assert loaded(http) == [PHI]


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("0.33.0", "llama-server process no longer running: -1 error: out of memory"),
        (
            "0.16.3",
            "model requires more system memory (3.6 GiB) than is available (0.9 GiB)",
        ),
    ],
)
def test_what_never_fits_is_a_500_of_its_version(http, state, version, error):
    state.version, state.vram_bytes = version, 10**9
    answer = load(http, GEMMA)
    assert (answer.status_code, answer.json()) == (500, {"error": error})
    assert loaded(http) == []


def test_another_context_length_loads_the_model_anew(http, state):
    load(http, GEMMA)
    load(http, GEMMA)
    assert state.loads == {GEMMA: 1}
    load(http, GEMMA, options={"num_ctx": 8192})
    assert state.loads == {GEMMA: 2}
    [row] = http.get("/api/ps").json()["models"]
    assert row["context_length"] == 8192


def test_a_full_queue_is_a_503_but_a_loaded_model_still_answers(
    http, state, in_background
):
    load(http, GEMMA)
    state.load_seconds, state.max_queue = 1, 0
    in_background(lambda: load(http, PHI))
    wait_until(lambda: state.is_loading)
    state.add_model("qwen3:0.6b")
    refused = load(http, "qwen3:0.6b")
    assert (refused.status_code, refused.json()) == (503, {"error": BUSY})
    assert "retry-after" not in refused.headers
    ask = {"model": GEMMA, "messages": HELLO, "stream": False}
    assert http.post("/api/chat", json=ask).status_code == 200


def test_one_load_serves_all_that_waited_for_it(http, state, in_background):
    state.load_seconds = 0.2
    waiting = [in_background(lambda: load(http, GEMMA)) for _ in range(3)]
    for one in waiting:
        one.join(timeout=5)
    assert state.loads == {GEMMA: 1}


def test_a_runner_that_dies_in_mid_answer_ends_with_an_error_line(http, state):
    ask = {"model": GEMMA, "messages": HELLO}
    for path in ("/api/chat", "/v1/chat/completions"):
        state.faults.plan(path, "crash:2")
    answer = http.post("/api/chat", json=ask)
    *told, last = map(json.loads, answer.content.splitlines())
    assert (answer.status_code, len(told)) == (200, 2)
    assert last["error"].startswith("llama-server process no longer running")
    events = http.post("/v1/chat/completions", json={**ask, "stream": True}).text
    end = json.loads(events.strip().split("\n\n")[-1].removeprefix("data: "))
    assert end["error"]["type"] == "api_error"


def test_the_official_clients_see_both_errors(practice_ollama, state):
    state.vram_bytes = 10**9
    client = ollama.Client(host=practice_ollama.url)
    with pytest.raises(ollama.ResponseError, match="out of memory") as refused:
        client.generate(GEMMA)
    client._client.close()
    assert refused.value.status_code == 500
    with (
        openai.OpenAI(
            base_url=f"{practice_ollama.url}/v1", api_key="x", max_retries=0
        ) as client,
        pytest.raises(openai.InternalServerError, match="out of memory"),
    ):
        client.chat.completions.create(model=GEMMA, messages=HELLO)


def test_the_official_client_loads_shows_and_unloads(practice_ollama):
    client = ollama.Client(host=practice_ollama.url)
    client.generate(GEMMA, keep_alive=-1)
    [row] = client.ps().models
    assert (row.model, row.context_length) == (GEMMA, 4096)
    assert row.expires_at.year > 2300
    client.generate(GEMMA, keep_alive=0)
    wait_until(lambda: not client.ps().models)
    client._client.close()


def test_a_hosted_model_asks_for_a_sign_in(http, state):
    state.add_model("gpt-oss:20b-cloud")
    answer = http.post(
        "/api/chat", json={"model": "gpt-oss:20b-cloud", "messages": HELLO}
    )
    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthorized"
    assert answer.json()["signin_url"].startswith("https://")
