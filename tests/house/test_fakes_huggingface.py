"""The practice hub is checked against the facts sheet, and by the real client."""

import hashlib
import json
import os
import struct
import subprocess
import sys

import httpx
import pytest

from tests.fakes.huggingface_shelf import MANY_FILES
from tests.fakes.huggingface_state import PRACTICE_TOKEN
from tests.running import ROOT

pytest_plugins = ("tests.fakes.fixtures",)
TINY = "practice/tiny-llama"
BEARER = {"Authorization": f"Bearer {PRACTICE_TOKEN}"}


@pytest.fixture
def http(practice_hub):
    with httpx.Client(base_url=practice_hub.url, timeout=20) as http:
        yield http


# Section 1.1: lists


def test_a_list_without_more_words_has_the_default_fields_in_order_of_trend(http):
    entries = http.get("/api/models").json()
    assert [entry["id"] for entry in entries][:2] == [TINY, "practice/tiny-nosystem"]
    assert set(entries[0]) == {
        *("_id", "id", "modelId", "likes", "trendingScore", "private", "downloads"),
        *("tags", "pipeline_tag", "library_name", "createdAt"),
    }
    assert "license:mit" in entries[0]["tags"]


def test_full_adds_files_without_sizes(http):
    entry = http.get("/api/models", params={"full": "true"}).json()[0]
    assert {"author", "gated", "lastModified", "sha", "siblings"} <= set(entry)
    assert {"rfilename"} == set(entry["siblings"][0])


@pytest.mark.parametrize("name", ["expand", "expand[]"])
def test_expand_gives_only_what_was_asked_and_the_ids(http, name):
    params = {name: ["gated", "safetensors", "usedStorage"]}
    entry = http.get("/api/models", params=params).json()[0]
    ids = {"_id", "id", "modelId"}
    assert set(entry) == {*ids, "gated", "safetensors", "usedStorage"}
    assert http.get("/api/models", params={name: "colour"}).status_code == 400


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"search": "GGUF"}, ["practice/tiny-GGUF"]),
        ({"filter": ["llama", "awq"]}, ["practice/tiny-awq"]),
        ({"author": "practice", "search": "tiny-l"}, [TINY]),
        ({"author": "nobody"}, []),
        ({"apps": "ollama"}, ["practice/tiny-GGUF"]),
        (
            {"gated": "true"},
            ["practice/tiny-gated", "practice/tiny-auto-gated"],
        ),
    ],
)
def test_lists_are_narrowed(http, params, names):
    found = http.get("/api/models", params=params).json()
    assert [entry["id"] for entry in found] == names


def test_lists_are_sorted(http):
    newest = http.get("/api/models", params={"sort": "createdAt"}).json()
    moments = [entry["createdAt"] for entry in newest]
    assert moments == sorted(moments, reverse=True)
    assert http.get("/api/models", params={"sort": "size"}).status_code == 400


def test_pages_follow_an_absolute_link_to_the_last_one(http, practice_hub):
    answer = http.get("/api/models", params={"limit": 5, "sort": "likes"})
    seen = [entry["id"] for entry in answer.json()]
    while "next" in answer.links:
        url = answer.links["next"]["url"]
        assert url.startswith(practice_hub.url)
        assert "sort=likes" in url
        answer = http.get(url)
        seen += [entry["id"] for entry in answer.json()]
    everybody = [entry["id"] for entry in http.get("/api/models?sort=likes").json()]
    assert seen == everybody
    assert http.get("/api/models?cursor=%C5%BB").status_code == 400


# Section 1.2 to 1.4: models, trees, who one is


def test_a_model_with_blobs_has_sizes_and_hashes_that_prove_the_content(http):
    told = http.get(f"/api/models/{TINY}", params={"blobs": "true"}).json()
    assert len(told["sha"]) == 40
    files = {entry["rfilename"]: entry for entry in told["siblings"]}
    config = http.get(f"/{TINY}/resolve/main/config.json").content
    blob = b"blob %d\0" % len(config) + config
    assert files["config.json"]["blobId"] == hashlib.sha1(blob).hexdigest()
    assert files["config.json"]["size"] == len(config)
    weights = http.get(
        f"/{TINY}/resolve/main/model.safetensors", follow_redirects=True
    ).content
    big = files["model.safetensors"]["lfs"]
    assert big["sha256"] == hashlib.sha256(weights).hexdigest()
    assert big["size"] == files["model.safetensors"]["size"] == len(weights)
    assert big["pointerSize"] < 200


def test_a_model_without_blobs_has_names_only(http):
    told = http.get(f"/api/models/{TINY}").json()
    assert set(told["siblings"][0]) == {"rfilename"}
    assert told["safetensors"]["total"] == sum(
        told["safetensors"]["parameters"].values()
    )
    assert told["gated"] is False
    assert told["disabled"] is False


def test_revisions_are_branches_commits_and_encoded_references(http, practice_hub):
    shelf = practice_hub.state.shelf
    before = shelf.find(TINY).commit
    after = shelf.publish(TINY, {"config.json": b"{}", "extra/notes.txt": b"new"})
    shelf.find(TINY).branches["refs/pr/1"] = before
    for revision, commit in [
        ("main", after),
        (before, before),
        (after, after),
        ("refs%2Fpr%2F1", before),
    ]:
        told = http.get(f"/api/models/{TINY}/revision/{revision}").json()
        assert told["sha"] == commit
    old = http.get(f"/{TINY}/resolve/{before}/config.json")
    assert old.headers["x-repo-commit"] == before
    assert old.content != http.get(f"/{TINY}/resolve/main/config.json").content


def test_a_tree_lists_files_and_folders_and_is_paged(http, practice_hub):
    path = "/api/models/practice/sharded-12m/tree/main"
    top = http.get(path).json()
    assert {"type": "directory", "path": "original"}.items() <= {
        **next(entry for entry in top if entry["path"] == "original")
    }.items()
    whole = http.get(path, params={"recursive": "true", "expand": "false"}).json()
    shard = next(e for e in whole if e["path"] == "model-00001-of-00003.safetensors")
    assert shard["lfs"]["oid"] != shard["oid"]
    assert all("xetHash" not in entry for entry in whole)
    assert [e["path"] for e in http.get(f"{path}/original").json()] == [
        "original/consolidated.00.pth",
        "original/params.json",
    ]
    practice_hub.state.page_size = 4
    assert "next" in http.get(path).links
    assert http.get(f"{path}/nowhere").status_code == 404


def test_a_repository_of_thousands_of_files_is_told_whole(http):
    told = http.get("/api/models/practice/many-files?blobs=true").json()
    assert len(told["siblings"]) == MANY_FILES


def test_who_one_is_only_with_a_token(http):
    assert http.get("/api/whoami-v2").status_code == 401
    told = http.get("/api/whoami-v2", headers=BEARER).json()
    assert told["auth"]["accessToken"]["role"] == "read"


# Section 2: downloads and refusals


def test_a_small_file_answers_at_once_with_its_commit_and_hash(http):
    for method in ("HEAD", "GET"):
        answer = http.request(method, f"/{TINY}/resolve/main/config.json")
        assert answer.status_code == 200
        assert len(answer.headers["x-repo-commit"]) == 40
        assert len(answer.headers["etag"].strip('"')) == 40
        assert int(answer.headers["content-length"]) > 100


def test_a_big_file_is_redirected_to_a_signed_address_of_another_host(
    http, practice_hub
):
    path = f"/{TINY}/resolve/main/model.safetensors"
    answer = http.head(path)
    assert answer.status_code == 302
    there = answer.headers["location"]
    assert not there.startswith(practice_hub.url)
    assert "Signature=" in there
    size = int(answer.headers["x-linked-size"])
    sha256 = answer.headers["x-linked-etag"].strip('"')
    part = httpx.get(there, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-199/{size}"
    assert hashlib.sha256(httpx.get(there).content).hexdigest() == sha256
    practice_hub.state.desk.expire_links()
    assert httpx.get(there).status_code == 403
    assert httpx.get(http.head(path).headers["location"]).status_code == 200


def test_small_files_may_take_a_turn_on_the_same_host(http, practice_hub):
    practice_hub.state.has_small_redirects = True
    answer = http.get(f"/{TINY}/resolve/main/config.json")
    assert answer.status_code == 307
    assert answer.headers["location"].startswith("/api/resolve-cache/")
    assert answer.next_request is not None
    assert http.send(answer.next_request).headers["x-repo-commit"]


GATED, FILE = "practice/tiny-gated", "resolve/main/config.json"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/api/models/no/body", {}, 401, "RepoNotFound"),
        ("/api/models/no/body", BEARER, 404, "RepoNotFound"),
        ("/api/models/practice/tiny-private", {}, 401, "RepoNotFound"),
        ("/api/models/practice/tiny-private", BEARER, 200, None),
        (f"/api/models/{GATED}", {}, 200, None),
        (f"/api/models/{GATED}/tree/main", {}, 200, None),
        (f"/api/models/{GATED}/auth-check", {}, 401, "GatedRepo"),
        (f"/{GATED}/{FILE}", {}, 401, "GatedRepo"),
        (f"/{GATED}/{FILE}", BEARER, 403, "GatedRepo"),
        (f"/api/models/{TINY}/revision/nope", {}, 404, "RevisionNotFound"),
        (f"/{TINY}/resolve/nope/config.json", {}, 404, "RevisionNotFound"),
        (f"/{TINY}/resolve/main/nope.json", {}, 404, "EntryNotFound"),
        ("/api/models/practice/tiny-disabled", {}, 403, None),
        (f"/api/models/{TINY}", {"Authorization": "Bearer hf_wrong"}, 401, None),
    ],
)
def test_every_refusal_has_its_status_and_its_code(http, path, headers, status, code):
    answer = http.get(path, headers=headers)
    assert (answer.status_code, answer.headers.get("x-error-code")) == (status, code)
    if status >= 400:
        assert answer.json()["error"] == answer.headers["x-error-message"]
    if code == "EntryNotFound":
        assert len(answer.headers["x-repo-commit"]) == 40


def test_an_accepted_licence_opens_a_gated_model(http, practice_hub):
    practice_hub.state.accepted.add(GATED)
    assert http.get(f"/{GATED}/{FILE}", headers=BEARER).status_code == 200
    check = http.get(f"/api/models/{GATED}/auth-check", headers=BEARER)
    assert check.status_code == 200


def test_a_renamed_model_leads_to_its_new_name(http, practice_hub):
    practice_hub.state.shelf.move(TINY, "practice/renamed")
    answer = http.get(f"/api/models/{TINY}?blobs=true")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/models/practice/renamed?blobs=true"


# Section 3: limits; section 10: faults


def test_every_answer_tells_the_window_and_an_empty_one_refuses(http, practice_hub):
    practice_hub.state.api_quota = 2
    for left in (1, 0):
        answer = http.get("/api/models?limit=1")
        assert answer.headers["ratelimit"] == f'"api";r={left};t=242'
        assert answer.headers["ratelimit-policy"] == '"fixed window";"api";q=2;w=300'
    assert http.get("/api/models").status_code == 429
    practice_hub.state.window_seconds = 0
    assert http.get("/api/models").status_code == 200
    assert "resolvers" in http.get(f"/{TINY}/{FILE}").headers["ratelimit"]


def test_it_breaks_as_told(http, practice_hub):
    faults = practice_hub.state.faults
    faults.plan("/api/models", "status:429")
    answer = http.get("/api/models")
    assert answer.status_code == 429
    assert answer.headers["ratelimit"].startswith('"api";r=0;t=')
    faults.plan("*", "status:503", times=0)
    for path in ("/api/models", f"/api/models/{TINY}", f"/{TINY}/{FILE}"):
        assert http.get(path).status_code == 503
    faults.clear()
    faults.plan("/api/models", "redirect_loop", times=0)
    with pytest.raises(httpx.TooManyRedirects):
        http.get("/api/models", follow_redirects=True)


def test_bytes_break_as_told(http, practice_hub):
    practice_hub.state.desk.faults.plan(f"{TINY}/model.safetensors", "cut:1000")
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/{TINY}/resolve/main/model.safetensors", follow_redirects=True)


def test_a_model_that_vanished_is_missing(http, practice_hub):
    practice_hub.state.shelf.discard(TINY)
    assert http.get(f"/api/models/{TINY}").status_code == 401


def test_weights_are_valid_safetensors(http):
    raw = http.get(
        f"/{TINY}/resolve/main/model.safetensors", follow_redirects=True
    ).content
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    ends = [t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"]
    assert 8 + length + max(ends) == len(raw)
    assert length % 8 == 0
    shapes = [t["shape"] for n, t in header.items() if n != "__metadata__"]
    told = http.get(f"/api/models/{TINY}").json()["safetensors"]["total"]
    assert told == sum(s[0] * (s[1] if len(s) > 1 else 1) for s in shapes)


# Section 4: the real client


CLIENT = """
import json, sys
from huggingface_hub import HfApi, snapshot_download
folder = snapshot_download("practice/sharded-12m", local_dir=sys.argv[1])
api = HfApi(token=False)
told = api.model_info("practice/many-files", files_metadata=True)
trending = [m.id for m in api.list_models(sort="trending_score", limit=7)]
tree = list(api.list_repo_tree("practice/sharded-12m", recursive=True))
print(json.dumps([len(told.siblings), trending, len(tree)]))
"""


@pytest.mark.slow
@pytest.mark.process
def test_the_real_client_downloads_a_snapshot_and_reads_lists(practice_hub, tmp_path):
    practice_hub.state.page_size = 5
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, tmp_path / "model"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": practice_hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    siblings, trending, entries = json.loads(done.stdout)
    assert (siblings, len(trending)) == (MANY_FILES, 7)
    repo = practice_hub.state.shelf.find("practice/sharded-12m")
    assert entries > len(repo.files)  # folders too
    for file in repo.files.values():
        assert (tmp_path / "model" / file.path).read_bytes() == file.content
