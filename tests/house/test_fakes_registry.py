"""The practice registry is checked against what was seen of the real protocol."""

import hashlib
import json

import httpx
import pytest

pytest_plugins = ("tests.fakes.fixtures",)
V2 = "application/vnd.docker.distribution.manifest.v2+json"
GEMMA = "/v2/library/gemma3/manifests/4b"


@pytest.fixture
def http(practice_registry):
    with httpx.Client(base_url=practice_registry.url, timeout=10) as http:
        http.headers["Accept"] = V2
        yield http


@pytest.fixture
def tags(practice_ollama):
    def tags():
        rows = httpx.get(f"{practice_ollama.url}/api/tags").json()["models"]
        return {row["name"]: row for row in rows}

    return tags


def test_a_manifest_names_config_and_layers_and_its_bytes_give_the_digest(http, tags):
    answer = http.get(GEMMA)
    assert answer.headers["content-type"] == V2
    parts = answer.json()
    assert list(parts) == ["schemaVersion", "mediaType", "config", "layers"]
    assert parts["config"]["mediaType"] == (
        "application/vnd.docker.container.image.v1+json"
    )
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in parts["layers"]]
    assert kinds == ["model", "template", "license", "params"]
    digest = hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["ollama-content-digest"] == f"sha256:{digest}"
    row = tags()["gemma3:4b"]
    sizes = [layer["size"] for layer in parts["layers"]] + [parts["config"]["size"]]
    assert (row["digest"], row["size"]) == (digest, sum(sizes))


def test_a_newer_version_has_another_digest_than_the_installed_one(
    http, tags, practice_registry
):
    practice_registry.state.library.publish("gemma3:4b")
    offered = hashlib.sha256(http.get(GEMMA).content).hexdigest()
    assert offered != tags()["gemma3:4b"]["digest"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/library/nobody/manifests/1b", "MANIFEST_UNKNOWN"),
        ("/v2/library/gemma3/manifests/5b", "MANIFEST_UNKNOWN"),
        ("/v2/library/gemma3/blobs/sha256:00", "BLOB_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_404(http, path, code):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == code


def test_a_namespace_of_its_own_is_served_too(http):
    assert http.get("/v2/somebody/practice-tiny/manifests/q8_0").status_code == 200


def test_small_blobs_have_content_and_weights_only_a_size(http):
    parts = http.get(GEMMA).json()
    config = http.get(f"/v2/library/gemma3/blobs/{parts['config']['digest']}")
    assert (
        f"sha256:{hashlib.sha256(config.content).hexdigest()}"
        == (parts["config"]["digest"])
    )
    told = json.loads(config.content)
    assert (told["model_format"], told["model_family"]) == ("gguf", "gemma3")
    assert (told["model_type"], told["file_type"]) == ("4.3B", "Q4_K_M")
    weights = f"/v2/library/gemma3/blobs/{parts['layers'][0]['digest']}"
    assert http.head(weights).headers["content-length"] == str(
        parts["layers"][0]["size"]
    )
    assert http.get(weights).status_code == 404
    begun = http.get(weights, headers={"Range": "bytes=0-99"})
    assert (begun.status_code, len(begun.content)) == (206, 100)
    assert begun.content.startswith(b"GGUF")
    assert begun.headers["content-range"].startswith("bytes 0-99/33")


def test_blobs_may_lie_at_another_host(http, practice_registry):
    practice_registry.state.leads_on = True
    config = http.get(GEMMA).json()["config"]["digest"]
    led = http.get(f"/v2/library/gemma3/blobs/{config}")
    assert led.status_code == 307
    assert led.headers["location"].startswith("http://localhost:")
    content = httpx.get(led.headers["location"], trust_env=False).content
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == config


def test_the_config_of_a_cloud_stub_names_its_host(http):
    parts = http.get("/v2/library/gpt-oss/manifests/20b-cloud").json()
    assert parts["layers"] == []
    config = http.get(f"/v2/library/gpt-oss/blobs/{parts['config']['digest']}").json()
    assert config["remote_host"].startswith("https://")
    assert config["remote_model"] == "gpt-oss:20b"


def test_it_breaks_as_told_and_remembers_who_asked(http, practice_registry):
    state = practice_registry.state
    for fault, status in [("status:500", 500), ("status:429", 429), ("html", 200)]:
        state.faults.plan(GEMMA, fault)
        assert http.get(GEMMA).status_code == status
    assert state.requests[GEMMA] == 3
    assert state.last_headers[GEMMA]["Accept"] == V2


def test_the_catalogue_has_small_huge_hosted_and_unsupported_models(practice_registry):
    sizes = {model.name: model.size_bytes for model in practice_registry.state.library}
    gemmas = [sizes[f"gemma3:{tag}"] for tag in ("270m", "1b", "4b", "12b", "27b")]
    assert gemmas == sorted(gemmas)
    assert min(sizes.values()) < 10_000_000
    assert max(sizes.values()) > 20_000_000_000
    expected = {"gpt-oss:20b-cloud", "gemma3:4b-mlx", "nomic-embed-text:latest"}
    assert expected <= set(sizes)
