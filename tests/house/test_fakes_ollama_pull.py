"""Pulls of the practice Ollama, line by line as the facts sheet has them."""

import hashlib
import json
import threading

import httpx
import ollama
import pytest

from tests.fakes.ollama_catalogue import Catalogue
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.waiting import wait_until

pytest_plugins = ("tests.fakes.fixtures",)
MODEL = "qwen3:0.6b"
TINY = "practice-tiny:latest"


@pytest.fixture
def http(practice_ollama):
    with httpx.Client(base_url=practice_ollama.url, timeout=10) as http:
        yield http


@pytest.fixture
def client(practice_ollama):
    client = ollama.Client(host=practice_ollama.url)
    yield client
    client._client.close()


@pytest.fixture
def state(practice_ollama):
    return practice_ollama.state


@pytest.fixture
def empty(state):
    """Nothing installed, so that no small layer is there already."""
    for name in state.model_names():
        state.remove_model(name)
    assert not state.folder.blobs
    return state


def pull(http, model=MODEL):
    answer = http.post("/api/pull", json={"model": model})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content.endswith(b"\n")
    return [json.loads(line) for line in answer.content.splitlines()]


def manifest(name=MODEL):
    return manifest_of(Catalogue().find(name))


def leave_after(http, count, model=MODEL):
    """Pull, read that many lines and go; returns the last one."""
    with http.stream("POST", "/api/pull", json={"model": model}) as answer:
        lines = answer.iter_lines()
        return [json.loads(next(lines)) for _ in range(count)][-1]


def test_lines_come_in_order_and_zeros_and_small_layers_are_left_out(http, empty):
    big = manifest().blobs[0]
    line = {
        "status": f"pulling {big.digest[7:19]}",
        "digest": big.digest,
        "total": big.size_bytes,
    }
    quarter = -(-big.size_bytes // 4)
    assert pull(http) == [
        {"status": "pulling manifest"},
        line,
        {**line, "completed": quarter},
        {**line, "completed": 2 * quarter},
        {**line, "completed": 3 * quarter},
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]
    assert MODEL in http.get("/api/tags").text


def test_size_and_digest_of_the_tag_are_those_of_the_manifest(http):
    pull(http)
    row = next(r for r in http.get("/api/tags").json()["models"] if r["name"] == MODEL)
    stated = manifest()
    parts = json.loads(stated.raw)
    sizes = [layer["size"] for layer in parts["layers"]] + [parts["config"]["size"]]
    assert row["size"] == sum(sizes) == 522_653_767
    assert row["digest"] == hashlib.sha256(stated.raw).hexdigest()


def test_layers_already_there_are_one_whole_line_each_config_last(http):
    pull(http)
    lines = [line for line in pull(http) if "digest" in line]
    assert [line["digest"] for line in lines] == [b.digest for b in manifest().blobs]
    assert all(line["completed"] == line["total"] for line in lines)


def test_a_throttle_is_kept_to_and_counts_up(http, empty):
    empty.bytes_per_second = 40_000_000
    lines = [line for line in pull(http, TINY) if "digest" in line]
    counts = [line.get("completed", 0) for line in lines]
    assert len(counts) > 3
    assert counts == sorted(counts)
    assert counts[-1] < lines[-1]["total"]  # nobody promises a full last tick


def test_leaving_cancels_and_the_next_pull_goes_on_where_it_was(http, empty):
    left = leave_after(http, 3)
    wait_until(lambda: empty.cancelled == 1)
    assert MODEL not in empty.model_names()
    [half] = empty.folder.partials().values()
    assert half >= left["completed"] > 0
    first = pull(http)[1]
    assert first["completed"] == half
    assert sum(empty.folder.fetched_bytes.values()) == manifest().size_bytes


def test_two_clients_share_one_download_which_stops_when_the_last_leaves(http, empty):
    empty.bytes_per_second = 20_000_000
    body = {"model": MODEL}
    with http.stream("POST", "/api/pull", json=body) as first:
        held = first.iter_lines()  # a generator thrown away would close the answer
        assert next(held)
        with http.stream("POST", "/api/pull", json=body) as second:
            lines = second.iter_lines()
            wait_until(lambda: sum(empty.folder.partials().values()))
            assert "completed" in [json.loads(next(lines)) for _ in range(3)][-1]
            [blob] = [b for b in empty.folder.blobs.values() if not b.is_whole]
            assert blob.readers == 2
    wait_until(lambda: blob.readers == 0)
    halted = blob.completed
    empty.bytes_per_second = 0
    assert pull(http)[1]["completed"] == halted
    assert sum(empty.folder.fetched_bytes.values()) == manifest().size_bytes


def test_two_pulls_at_once_both_succeed_and_fetch_every_byte_once(http, empty):
    ends = []
    pullers = [
        threading.Thread(target=lambda: ends.append(pull(http)[-1])) for _ in range(2)
    ]
    for puller in pullers:
        puller.start()
    for puller in pullers:
        puller.join(timeout=10)
    assert ends == [{"status": "success"}] * 2
    assert sum(empty.folder.fetched_bytes.values()) == manifest().size_bytes


@pytest.mark.parametrize("no_prune", [False, True])
def test_an_older_version_of_the_tag_goes_unless_told_not_to(http, state, no_prune):
    state.no_prune = no_prune
    pull(http)
    old = manifest().blobs[0].digest
    state.library.publish(MODEL)
    told = [line["status"] for line in pull(http)][-3:]
    end = ["removing unused layers", "success"]
    assert told[1:] == (["writing manifest", "success"] if no_prune else end)
    assert (old in state.folder.blobs) == no_prune
    assert manifest().digest not in http.get("/api/tags").text


def test_a_blob_that_another_tag_names_survives_a_delete(http, state):
    pull(http, "gemma3:latest")
    shared = manifest("gemma3:4b").blobs[0]
    assert shared == manifest("gemma3:latest").blobs[0]
    http.request("DELETE", "/api/delete", json={"model": "gemma3:latest"})
    assert state.folder.has(shared)
    http.request("DELETE", "/api/delete", json={"model": "gemma3:4b"})
    assert not state.folder.has(shared)


@pytest.mark.parametrize(
    ("version", "settings", "hours", "survives"),
    [
        ("0.33.0", {}, 0, True),
        ("0.33.0", {}, 2, False),
        ("0.16.3", {}, 0, False),
        ("0.16.3", {"no_prune": True}, 2, True),
        ("0.33.0", {"prune_grace_seconds": 0}, 0, False),
    ],
)
def test_a_restart_prunes_half_pulls_as_this_version_does(
    practice_ollama, http, version, settings, hours, survives
):
    state = practice_ollama.state
    state.version = version
    for name, value in settings.items():
        setattr(state, name, value)
    leave_after(http, 3)
    wait_until(lambda: state.in_flight == 0)
    for blob in state.folder.blobs.values():
        blob.touched_at -= hours * 3600
    practice_ollama.stop()
    practice_ollama.start()
    assert bool(state.folder.partials()) == survives
    assert "gemma3:4b" in state.model_names()
    assert state.folder.has(manifest("gemma3:4b").blobs[0])


def test_a_pull_of_an_unknown_model_fails_after_a_200(http, client):
    assert pull(http, "nobody:1b") == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    with pytest.raises(ollama.ResponseError) as refused:
        list(client.pull("nobody:1b", stream=True))
    assert refused.value.status_code == -1


def test_a_model_of_tensor_layers_does_not_come_to_plain_linux(http):
    kinds = [layer.media_type for layer in manifest("gemma3:4b-mlx").layers]
    assert "application/vnd.ollama.image.tensor" in kinds
    assert pull(http, "gemma3:4b-mlx")[-1] == {
        "error": "this model requires MLX support, but the MLX runtime is not available"
    }


def test_a_cloud_stub_is_a_few_hundred_bytes_and_names_its_host(http):
    pull(http, "gpt-oss:20b-cloud")
    row = http.get("/api/tags").json()["models"][0]
    assert row["size"] < 1000
    assert row["remote_model"] == "gpt-oss:20b"
    assert row["remote_host"].startswith("https://")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        (b'{"model":"bad name!"}', "invalid model name"),
        (b'{"model":""}', "invalid model name"),
        (b'{"model":"../../etc"}', "invalid model name"),
    ],
)
def test_a_bad_wish_is_a_400(http, body, error):
    answer = http.post("/api/pull", content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_names_compare_without_case_and_carry_a_tag(http):
    assert pull(http, "PRACTICE-Tiny")[-1] == {"status": "success"}
    assert http.get("/api/tags").json()["models"][0]["name"] == TINY


def test_a_pull_without_a_stream_answers_once(http, state):
    body = {"model": MODEL, "stream": False}
    assert http.post("/api/pull", json=body).json() == {"status": "success"}
    refused = http.post("/api/pull", json={**body, "model": "nobody:1b"})
    assert refused.status_code == 500
    assert refused.json() == {"error": "pull model manifest: file does not exist"}
    state.faults.plan("/api/pull", "disk_full")
    assert http.post("/api/pull", json=body).status_code == 500


def test_the_official_client_reads_the_whole_pull(client, state):
    told = list(client.pull(MODEL, stream=True))
    assert told[-1].status == "success"
    assert max(line.completed or 0 for line in told) > 0
    assert client.pull(TINY).status == "success"
    assert TINY in [row.model for row in client.list().models]


# Faults
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("no_manifest", "pull model manifest: file does not exist"),
        ("access_denied", "unauthorized: access denied"),
        ("disk_full:2", "no space left on device"),
        ("max_retries", "max retries exceeded"),
        ("digest_mismatch", "digest mismatch, file must be downloaded again: want"),
    ],
)
def test_a_pull_can_end_with_an_error_line_after_its_200(
    http, client, state, fault, error
):
    state.faults.plan("/api/pull", fault, times=2)
    *_, last = pull(http)
    assert error in last["error"]
    with pytest.raises(ollama.ResponseError, match=error) as refused:
        list(client.pull(MODEL, stream=True))
    assert refused.value.status_code == -1
    assert MODEL not in state.model_names()
    assert pull(http)[-1] == {"status": "success"}


def test_a_full_disk_keeps_the_half_and_a_wrong_digest_does_not(http, state):
    state.faults.plan("/api/pull", "disk_full:2")
    pull(http)
    assert state.folder.partials()
    state.faults.plan("/api/pull", "digest_mismatch")
    pull(http)
    assert not state.folder.has(manifest().blobs[0])


def test_a_stream_can_end_without_success(http, state):
    state.faults.plan("/api/pull", "end_early:3")
    assert [line["status"][:8] for line in pull(http)] == ["pulling "] * 4
    assert MODEL not in state.model_names()


def test_a_pull_can_fall_silent_and_be_left(http, state):
    state.faults.plan("/api/pull", "stall_mid_stream:2")
    http.timeout = httpx.Timeout(0.3)
    with pytest.raises(httpx.ReadTimeout):
        pull(http)
    wait_until(lambda: state.cancelled == 1)
    assert state.folder.partials()


def test_a_pull_can_be_cut_inside_a_line(http, state):
    state.faults.plan("/api/pull", "cut_mid_line:2")
    told = []
    with http.stream("POST", "/api/pull", json={"model": MODEL}) as answer:
        pieces = answer.iter_raw()
        with pytest.raises(httpx.RemoteProtocolError):
            told.extend(iter(pieces.__next__, b""))
    with pytest.raises(ValueError):
        json.loads(b"".join(told).splitlines()[-1])


def test_a_line_of_garbage_may_stand_among_good_ones(http, state):
    state.faults.plan("/api/pull", "garbage_line:1")
    lines = http.post("/api/pull", json={"model": MODEL}).content.splitlines()
    with pytest.raises(ValueError):
        json.loads(lines[2])
    assert json.loads(lines[-1]) == {"status": "success"}


@pytest.mark.parametrize(
    ("fault", "status", "kind", "text"),
    [
        ("html", 200, "text/html", "<!doctype html>"),
        ("html:502", 502, "text/html", "<!doctype html>"),
        ("unsupported", 404, "text/plain", "404 not found"),
        ("unsupported:405", 405, "text/plain", "405 method not allowed"),
        ("unsupported:501", 501, "text/plain", "501 not implemented"),
        ("status:500", 500, "application/json", '{"error":"'),
        ("status:503", 503, "application/json", '{"error":"server busy, please'),
    ],
)
def test_a_pull_can_be_refused_before_it_begins(http, state, fault, status, kind, text):
    state.faults.plan("/api/pull", fault)
    answer = http.post("/api/pull", json={"model": MODEL})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.startswith(text)


def test_tags_can_lie_about_their_digests(http, state):
    state.faults.plan("/api/tags", "lying_digest")
    lie, truth = (http.get("/api/tags").json()["models"][0]["digest"] for _ in range(2))
    assert truth == manifest("gemma3:4b").digest
    assert lie != truth
    assert len(lie) == 64
