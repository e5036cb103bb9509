"""The wire to a Hugging Face Hub, against the practice hub and strange bytes."""

import hashlib
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from tests.fakes.huggingface_shelf import MANY_FILES
from tests.fakes.huggingface_state import PRACTICE_TOKEN
from tests.fakes.raw import RawServer, head, whole
from tests.fakes.waiting import wait_until
from venom_site.clients.huggingface import HubClient, HubRefused, HubUnreadable
from venom_site.clients.huggingface_errors import wait_in
from venom_site.lib.errors import WireError

TINY, GATED = "practice/tiny-llama", "practice/tiny-gated"


@pytest.fixture
def hub(practice_hub):
    return HubClient(practice_hub.url)


@pytest.fixture
def state(practice_hub):
    return practice_hub.state


@pytest.fixture
def signed_in(practice_hub):
    return HubClient(practice_hub.url, PRACTICE_TOKEN)


# Lists


def test_a_list_tells_what_a_card_shows(hub):
    model = hub.list_models(limit=1).items[0]
    assert (model.id, model.owner) == (TINY, "practice")
    assert (model.downloads, model.likes, model.trending_score) == (123456, 900, 100)
    assert (model.parameters, model.dtypes) == (120_256, (("F32", 120_256),))
    assert (model.license, model.pipeline_tag) == ("mit", "text-generation")
    assert (model.gated, model.is_private) == ("", False)
    assert model.updated_at == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert {"llama", "safetensors"} <= set(model.tags)


def test_pages_follow_each_other_without_a_gap(hub, state):
    seen, cursor = [], ""
    while True:
        page = hub.list_models(limit=5, sort="likes", cursor=cursor)
        seen += [model.id for model in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == len(list(state.shelf)) - 1  # but the private
    assert state.requests["/api/models"] == 3


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ({"search": "gguf"}, ["practice/tiny-GGUF"]),
        ({"filters": ("llama", "awq")}, ["practice/tiny-awq"]),
        ({"author": "practice", "search": "tiny-l"}, [TINY]),
        ({"search": "nothing of the kind"}, []),
    ],
)
def test_lists_are_narrowed(hub, words, names):
    assert [model.id for model in hub.list_models(**words).items] == names


def test_lists_are_sorted_and_only_so(hub):
    newest = hub.list_models(sort="createdAt").items
    moments = [model.created_at for model in newest]
    assert moments == sorted(moments, reverse=True)
    with pytest.raises(ValueError, match="trendingScore"):
        hub.list_models(sort="size")


def test_only_the_configured_host_is_asked_and_nothing_besides(hub, state):
    hub.list_models()
    hub.model(TINY)
    assert set(state.requests) == {"/api/models", f"/api/models/{TINY}"}
    headers = state.last_headers["/api/models"]
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["user-agent"].startswith("venom/")
    assert "torch" not in sent["user-agent"]
    assert "authorization" not in sent


def test_a_link_to_another_host_gives_no_more_than_its_cursor():
    link = 'Link: <https://elsewhere.example/api?cursor=abc&limit=1>; rel="next"\r\n'
    answer = whole([{"id": "a/b"}]).replace(
        b"Connection", link.encode() + b"Connection"
    )
    with RawServer([answer]) as server:
        assert HubClient(server.url).list_models(limit=1).next_cursor == "abc"


# One model


def test_a_model_comes_with_its_commit_and_every_file(hub, state):
    repo = hub.model("practice/sharded-12m")
    kept = state.shelf.find("practice/sharded-12m")
    assert repo.commit == kept.commit
    files = {file.path: file for file in repo.files}
    assert set(files) == set(kept.files)
    shard = files["model-00001-of-00003.safetensors"]
    content = kept.files[shard.path].content
    assert shard.sha256 == hashlib.sha256(content).hexdigest()
    assert (shard.size_bytes, shard.git_sha1) == (len(content), "")
    config = files["config.json"]
    content = kept.files["config.json"].content
    blob = b"blob %d\0" % len(content) + content
    assert config.git_sha1 == hashlib.sha1(blob).hexdigest()
    assert (config.size_bytes, config.sha256) == (len(content), "")
    assert repo.architectures == ("LlamaForCausalLM",)


def test_thousands_of_files_are_read_in_one_call(hub, state):
    assert len(hub.model("practice/many-files").files) == MANY_FILES
    assert state.requests.total() == 1


def test_a_revision_is_a_branch_a_commit_or_a_reference(hub, state):
    before = state.shelf.find(TINY).commit
    after = state.shelf.publish(TINY, {"config.json": b"{}"})
    state.shelf.find(TINY).branches["refs/pr/1"] = before
    assert hub.model(TINY).commit == after
    assert hub.model(TINY, "refs/pr/1").commit == before
    assert hub.model(TINY, before).commit == before


def test_a_name_without_an_owner_is_one(hub):
    repo = hub.model("tiny-of-nobody")
    assert (repo.id, repo.owner) == ("tiny-of-nobody", "")


def test_a_renamed_model_is_found_under_its_new_name(hub, state):
    state.shelf.move(TINY, "practice/renamed")
    assert hub.model(TINY).id == "practice/renamed"
    assert b"Llama" in hub.read_file(TINY, "main", "config.json", limit_bytes=10_000)


def test_licences_and_gates_are_told(hub):
    repo = hub.model(GATED)
    assert (repo.gated, repo.license) == ("manual", "Practice licence")
    assert repo.license_url == "https://example.org/practice-licence"
    assert hub.model("practice/tiny-auto-gated").gated == "auto"


# Files


@pytest.mark.parametrize("has_turn", [False, True])
def test_a_small_file_is_read_also_where_the_hub_keeps_it_elsewhere(
    hub, state, has_turn
):
    state.has_small_redirects = has_turn
    raw = hub.read_file(TINY, "main", "config.json", limit_bytes=10_000)
    assert raw == state.shelf.find(TINY).files["config.json"].content


def test_a_big_file_is_fetched_from_the_other_host_without_the_token(signed_in, state):
    raw = signed_in.read_file(TINY, "main", "model.safetensors", limit_bytes=1_000_000)
    assert raw == state.shelf.find(TINY).files["model.safetensors"].content
    first, second = state.desk.asked
    assert first.authorization == f"Bearer {PRACTICE_TOKEN}"
    assert (second.is_signed, second.authorization) == (True, "")


def test_a_file_that_is_larger_than_allowed_is_refused(hub):
    with pytest.raises(HubUnreadable, match="larger than 100 bytes"):
        hub.read_file(TINY, "main", "config.json", limit_bytes=100)


def test_an_address_for_downloads_is_quoted(hub, practice_hub):
    url = hub.file_url("a/b", "refs/pr/1", "sub dir/ł#?.json")
    place = "/a/b/resolve/refs%2Fpr%2F1/sub%20dir/%C5%82%23%3F.json"
    assert url == practice_hub.url + place


def test_headers_carry_the_token_and_only_ours(hub, signed_in, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    assert signed_in.headers()["authorization"] == f"Bearer {PRACTICE_TOKEN}"
    assert "authorization" not in hub.headers()


# Refusals


def refused(call):
    with pytest.raises(HubRefused) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("repo", "revision", "case", "status"),
    [
        ("no/body", "", "missing", 401),
        ("practice/tiny-private", "", "missing", 401),
        (TINY, "nope", "revision", 404),
        ("practice/tiny-disabled", "", "disabled", 403),
    ],
)
def test_what_the_hub_refuses_has_a_name(hub, repo, revision, case, status):
    error = refused(lambda: hub.model(repo, revision))
    assert (error.case, error.status, error.permanent) == (case, status, True)


def test_a_missing_file_is_no_missing_model(hub):
    error = refused(lambda: hub.read_file(TINY, "main", "no.json", limit_bytes=9))
    assert error.case == "file"


def test_with_a_token_a_missing_model_is_404_and_a_private_one_there(signed_in):
    assert refused(lambda: signed_in.model("no/body")).status == 404
    assert signed_in.model("practice/tiny-private").is_private


def test_gated_is_told_apart_from_missing(hub, signed_in, state):
    assert refused(lambda: hub.check_access(GATED)).status == 401
    error = refused(lambda: signed_in.check_access(GATED))
    assert (error.case, error.status, error.reason_code) == ("gated", 403, "AUTH_ERROR")
    error = refused(lambda: hub.read_file(GATED, "main", "config.json", limit_bytes=9))
    assert error.case == "gated"
    state.accepted.add(GATED)
    signed_in.check_access(GATED)
    hub.check_access(TINY)


def test_a_wrong_token_is_told_also_for_what_is_public(practice_hub):
    client = HubClient(practice_hub.url, "hf_wrong_one_altogether")
    error = refused(lambda: client.model(TINY))
    assert (error.case, error.status) == ("token", 401)
    assert "hf_wrong" not in str(error)


@pytest.mark.parametrize("token", ["hf_\nX-Evil: 1", "hf_żółw"])
def test_a_token_that_is_none_is_not_sent(practice_hub, token):
    client = HubClient(practice_hub.url, token)
    assert refused(lambda: client.model(TINY)).case == "token"
    assert practice_hub.state.requests.total() == 0


@pytest.mark.parametrize(
    "repo",
    [
        "",
        "a/b/c",
        "../etc",
        "a/..",
        "a--b/c",
        "ż/ó",
        "a b/c",
        "x" * 200,
        "a/b?c",
        "a/b.git",
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anybody_is_asked(hub, state, repo):
    for call in (
        lambda: hub.model(repo),
        lambda: hub.check_access(repo),
        lambda: hub.read_file(repo, "main", "a", limit_bytes=9),
    ):
        assert refused(call).case == "missing"
    assert state.requests.total() == 0


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a\n"]
)
def test_a_path_that_leads_out_is_not_asked_for(hub, state, path):
    error = refused(lambda: hub.read_file(TINY, "main", path, limit_bytes=9))
    assert (error.case, state.requests.total()) == ("file", 0)


@pytest.mark.parametrize("revision", [".", ".."])
def test_a_revision_that_leads_elsewhere_is_refused(hub, revision):
    assert refused(lambda: hub.model(TINY, revision)).case == "revision"


# Limits


def test_a_busy_hub_says_for_how_long_and_is_asked_once(hub, state):
    state.api_quota, state.reset_seconds = 0, 41
    began = time.monotonic()
    error = refused(hub.list_models)
    assert (error.case, error.wait_seconds, error.permanent) == ("busy", 42, False)
    assert (error.status, error.reason_code) == (429, "RATE_LIMIT")
    assert state.requests["/api/models"] == 1
    assert time.monotonic() - began < 10  # the library's own list would wait


def later(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"ratelimit": '"api";r=0;t=55'}, 56, 56),
        ({"ratelimit": '"api";r=7;t=55', "retry-after": "9"}, 9, 9),
        ({"retry-after": "120"}, 120, 120),
        ({"retry-after": "soon"}, 60, 60),
        ({"retry-after": "9" * 30}, 3600, 3600),
        ({}, 60, 60),
    ],
)
def test_how_long_to_wait_is_read_from_every_form_of_it(headers, low, high):
    assert low <= wait_in(httpx.Headers(headers)) <= high


def test_a_moment_to_wait_for_becomes_seconds():
    assert 900 < wait_in(httpx.Headers({"retry-after": later(1000)})) <= 1000
    assert wait_in(httpx.Headers({"retry-after": later(-100)})) == 1


def test_a_storm_of_5xx_is_a_passing_failure_asked_once(hub, state):
    state.faults.plan("*", "status:503", times=0)
    for call in (hub.list_models, lambda: hub.model(TINY)):
        with pytest.raises(WireError, match="503: practice fault") as caught:
            call()
        assert (caught.value.permanent, caught.value.status) == (False, 503)
        assert caught.value.reason_code == "DEGRADED"
    assert state.requests.total() == 2


def test_a_hub_that_is_away_is_offline_at_once(practice_hub, hub):
    practice_hub.stop()
    for call in (hub.list_models, lambda: hub.model(TINY)):
        with pytest.raises(WireError, match="Nothing answers") as caught:
            call()
        assert caught.value.reason_code == "OFFLINE"


def test_it_works_again_when_the_hub_comes_back(practice_hub, hub):
    practice_hub.stop()
    with pytest.raises(WireError):
        hub.list_models()
    practice_hub.start()
    assert hub.list_models().items


@pytest.mark.slow
def test_a_call_ends_in_time_whatever_the_hub_does(hub, state, monkeypatch):
    state.faults.plan("*", "stall_before_first_byte", times=0)
    began = time.monotonic()
    with pytest.raises(WireError, match="in time") as caught:
        hub.model(TINY, total_seconds=1)
    assert caught.value.reason_code == "FALLBACK_TIMEOUT"
    assert time.monotonic() - began < 8


def readers():
    return [one for one in threading.enumerate() if one.name == "wire-within"]


@pytest.mark.slow
def test_an_answer_that_drips_ends_in_time_too():
    pieces = iter([head("application/json"), *[b" "] * 100_000])

    def slowly():
        for piece in pieces:
            time.sleep(0.05)
            yield piece

    with RawServer(slowly()) as server:
        began = time.monotonic()
        with pytest.raises(WireError, match="in time"):
            HubClient(server.url).model(TINY, total_seconds=1)
        assert time.monotonic() - began < 8
        wait_until(lambda: not readers(), seconds=20)  # nor does it read on unseen


@pytest.mark.parametrize("fault", ["cut_after_tokens:1", "garbage", "html"])
def test_answers_that_break_or_are_no_json_are_named(hub, state, fault):
    state.faults.plan("*", fault, times=0)
    for call in (hub.list_models, lambda: hub.model(TINY)):
        with pytest.raises(WireError):
            call()


def test_a_circle_of_redirects_ends(hub, state):
    state.faults.plan("*", "redirect_loop", times=0)
    with pytest.raises(HubUnreadable, match="circles"):
        hub.model(TINY)
    assert state.requests.total() < 10


@pytest.mark.parametrize("place", ["http://localhost:9/x", "ftp://a/b", "file:///etc"])
def test_lists_and_models_never_lead_to_another_host(place):
    moved = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
    with RawServer([moved.encode()]) as server:
        for call in (
            HubClient(server.url).list_models,
            lambda: HubClient(server.url).model(TINY),
        ):
            with pytest.raises(HubUnreadable, match="sends us to"):
                call()


# Strange answers


def told(answer):
    with RawServer([whole(answer)]) as server:
        return HubClient(server.url).list_models()


STRANGE: list[object] = [None, 7, "x", [], {}, {"id": 5}, True]


@pytest.mark.parametrize("field", ["tags", "safetensors", "gguf", "config", "cardData"])
@pytest.mark.parametrize("value", STRANGE)
def test_a_strange_field_is_as_good_as_missing(field, value):
    model = told([{"id": "a/b", "likes": 3, field: value}]).items[0]
    assert (model.id, model.likes, model.parameters) == ("a/b", 3, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"downloads": -1, "likes": 2.5, "trendingScore": "9", "createdAt": 5},
        {"lastModified": "yesterday", "createdAt": "2026-05-26T09:12:25"},
        {"safetensors": {"parameters": {"BF16": "many", 3: 4}, "total": -5}},
        {"cardData": {"license": ["mit", 3], "license_link": "javascript:x"}},
        {"tags": [None, 3, "x" * 9999], "gated": {"a": 1}},
    ],
)
def test_strange_values_never_break_a_list(fields):
    model = told([{"id": "a/b", **fields}]).items[0]
    assert model.created_at is None
    assert model.license_url == ""
    assert all(len(tag) <= 500 for tag in model.tags)


def test_entries_without_an_id_are_passed_over():
    assert [m.id for m in told([{"id": "a/b"}, {"x": 1}, 7, None]).items] == ["a/b"]


@pytest.mark.parametrize("answer", [{}, {"error": "x"}, 7, "x", [7], [{"x": 1}]])
def test_what_is_no_list_of_models_is_a_changed_hub(answer):
    with pytest.raises(HubUnreadable):
        told(answer)


SHA = "a" * 40


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"id": "a/b"},
        {"id": "a/b", "sha": "main", "siblings": []},
        {"id": "a/b", "sha": SHA},
        {"id": "a/b", "sha": SHA, "siblings": 5},
        {"id": 5, "sha": SHA, "siblings": []},
    ],
)
def test_a_model_without_id_commit_or_files_is_a_changed_hub(answer):
    with RawServer([whole(answer)]) as server, pytest.raises(HubUnreadable):
        HubClient(server.url).model(TINY)


def test_strange_files_are_read_as_far_as_they_go():
    siblings = [
        {"rfilename": "a.json"},
        {"rfilename": "b.json", "size": "9", "blobId": 5, "lfs": None},
        {"rfilename": "c.bin", "size": 0, "lfs": {"sha256": "zz", "size": 3}},
        {"rfilename": "d.bin", "lfs": {"size": 3}},
        {"rfilename": 5},
        {"rfilename": "x" * 2000},
        "e",
    ]
    answer = {"id": "a/b", "sha": SHA, "siblings": siblings}
    with RawServer([whole(answer)]) as server:
        files = HubClient(server.url).model(TINY).files
    assert [(f.path, f.size_bytes, f.sha256, f.git_sha1) for f in files] == [
        ("a.json", None, "", ""),
        ("b.json", None, "", ""),
        ("c.bin", 0, "", ""),
        ("d.bin", 3, "", ""),
    ]
