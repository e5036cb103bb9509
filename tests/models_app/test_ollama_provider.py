"""Ollama as a provider: names, promises, fetching, removing, and every refusal."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

from models_app.providers import ollama_words as words
from models_app.providers import registry
from models_app.providers.base import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    UnsupportedModel,
)
from models_app.providers.ollama import OllamaProvider
from tests.fakes.neighbour import NeighbourState, build_application
from tests.fakes.ollama_wire import OllamaDialect
from tests.fakes.server import PracticeServer
from tests.fakes.waiting import wait_until
from venom_site.clients import ollama_registry
from venom_site.clients.ollama_answers import ShownModel
from venom_site.clients.ollama_cli import OllamaCli, progress_in
from venom_site.lib.errors import InvalidBody, WireError

NOBODY = "http://127.0.0.1:9"


def go_on() -> None:
    """The check of work that nobody ends."""


class Stop(Exception):
    """Somebody asked for the end."""


@pytest.fixture
def set_env(settings):
    def make(**values) -> None:
        fresh = settings.ENV.model_dump() | values
        settings.ENV = type(settings.ENV).model_validate(fresh)

    return make


@pytest.fixture
def provider_at():
    """provider_at(url, registry_url) → a provider that is closed afterwards."""
    made: list[OllamaProvider] = []

    def make(url: str = NOBODY, registry_url: str = NOBODY) -> OllamaProvider:
        made.append(OllamaProvider(url, registry_url))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(practice_ollama, provider_at):
    return provider_at(practice_ollama.url)


@pytest.fixture
def odd_server():
    """odd_server({path: (status, body)}) → the address of a server that says this."""
    servers = []

    def make(answers: dict[str, tuple[int, bytes]]) -> str:
        async def answer(request: web.Request) -> web.Response:
            status, body = answers[request.path]
            return web.Response(status=status, body=body)

        def build(state: NeighbourState) -> web.Application:
            app = build_application(state, OllamaDialect())
            for path in answers:
                app.router.add_route("*", path, answer)
            return app

        server = PracticeServer(build, NeighbourState(version="0"))
        server.start()
        servers.append(server)
        return server.url

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def program(tmp_path, set_env):
    """program(python source) → OLLAMA_CLI is that script; its calls are noted."""

    def make(source: str) -> Path:
        script = tmp_path / "cli.py"
        noted = tmp_path / "called.json"
        script.write_text(
            "import json, os, sys, time\n"
            f"open({str(noted)!r}, 'w').write(json.dumps("
            "[sys.argv[1:], os.environ['OLLAMA_HOST'], os.getpid()]))\n" + source
        )
        set_env(OLLAMA_CLI=f"{sys.executable} {script}")
        return noted

    return make


# Names


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("llama3.2", "llama3.2:latest"),
        (" gemma3:4b ", "gemma3:4b"),
        ("library/gemma3:4b", "gemma3:4b"),
        ("registry.ollama.ai/library/Gemma3:4b", "gemma3:4b"),
        ("registry.ollama.ai/User/Model", "User/Model:latest"),
        ("hf.co/user/Repo-GGUF:Q4_K_M", "hf.co/user/Repo-GGUF:Q4_K_M"),
    ],
)
def test_one_model_has_one_name(provider_at, given, canonical):
    provider = provider_at()
    assert provider.canonical_name(given) == canonical
    assert provider.canonical_name(canonical) == canonical


@pytest.mark.parametrize(
    "given",
    [
        "",
        "../etc",
        "a b",
        "żółw:1b",
        "x" * 300,
        "a:b:c",
        "-rf",
        "name/",
        ".a:1b",
        "x" * 81,
        "a.b/model",
        "a/b/c/d",
        "x" * 79 + "/" + "y" * 80 + ":" + "z" * 50,
    ],
)
def test_a_name_outside_the_grammar_is_refused_with_what_is_wanted(provider_at, given):
    with pytest.raises(ValueError, match="must be a"):
        provider_at().canonical_name(given)


# What the registry promises


def manifest_of(*kinds: str, size: int = 1000) -> bytes:
    layers = [
        {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{n}"}
        | {"size": size}
        for n, kind in enumerate(kinds)
    ]
    config = {"mediaType": "config", "digest": "sha256:c", "size": 5}
    return json.dumps({"layers": layers, "config": config}).encode()


PLACE = "/v2/library/gemma3/manifests/4b"


def test_a_promise_has_the_digest_and_the_sizes_of_all_layers(odd_server, provider_at):
    body = manifest_of("model", "template")
    promised = provider_at(NOBODY, odd_server({PLACE: (200, body)})).measure(
        "gemma3:4b"
    )
    assert promised.digest == hashlib.sha256(body).hexdigest()
    assert promised.size_bytes == 2005
    assert promised.parts == (("sha256:0", 1000), ("sha256:1", 1000), ("sha256:c", 5))
    assert not promised.complaint


def test_a_model_of_tensors_is_complained_about(odd_server, provider_at):
    url = odd_server({PLACE: (200, manifest_of("tensor", "tensor"))})
    assert "MLX" in str(provider_at(NOBODY, url).measure("gemma3:4b").complaint)


def test_a_cloud_stub_is_complained_about_only_where_clouds_are_ruled_out(
    odd_server, provider_at, set_env
):
    url = odd_server({PLACE: (200, manifest_of("license"))})
    assert not provider_at(NOBODY, url).measure("gemma3:4b").complaint
    set_env(OLLAMA_NO_CLOUD=True)
    assert "cloud" in str(provider_at(NOBODY, url).measure("gemma3:4b").complaint)


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', ModelNotFound),
        (401, b"", AccessDenied),
        (403, b"{}", AccessDenied),
        (500, b"oops", ProviderAway),
        (200, b"<html>", ProviderAway),
        (200, b"[]", ProviderAway),
        (200, b'{"layers":[{"size":-1,"digest":"x"}],"config":{}}', ProviderAway),
        (200, b'{"layers":[7],"config":{}}', ProviderAway),
        (200, b"[" * 100_000, ProviderAway),
    ],
)
def test_each_answer_without_a_promise_is_its_own_refusal(
    odd_server, provider_at, status, body, refusal
):
    provider = provider_at(NOBODY, odd_server({PLACE: (status, body)}))
    with pytest.raises(refusal, match="gemma3:4b"):
        provider.measure("gemma3:4b")


def test_a_registry_that_is_away_is_passing(provider_at):
    with pytest.raises(ProviderAway, match="gemma3:4b"):
        provider_at().measure("gemma3:4b")


def test_another_hosts_name_is_not_asked_for(provider_at):
    assert provider_at().measure("hf.co/user/model:Q4_K_M") is None


def test_the_promise_is_kept_by_what_is_fetched(
    practice_ollama, practice_registry, provider_at
):
    provider = provider_at(practice_ollama.url, practice_registry.url)
    promised = provider.measure("qwen3:0.6b")
    heard = []
    provider.fetch("qwen3:0.6b", tell=heard.append, check=go_on)
    found = {model.name: model for model in provider.list_installed()}["qwen3:0.6b"]
    assert (found.digest, found.size_bytes) == (promised.digest, promised.size_bytes)
    assert {news.part for news in heard if news.part} <= dict(promised.parts).keys()


@pytest.mark.parametrize(
    ("name", "words"), [("gemma3:4b-mlx", "MLX"), ("gpt-oss:20b-cloud", "cloud")]
)
def test_the_registry_shows_what_cannot_run_here(
    practice_registry, provider_at, set_env, name, words
):
    set_env(OLLAMA_NO_CLOUD=True)
    assert words in str(
        provider_at(NOBODY, practice_registry.url).measure(name).complaint
    )


def test_another_registry_error_and_unknown_names_are_told_apart(
    practice_registry, provider_at
):
    provider = provider_at(NOBODY, practice_registry.url)
    with pytest.raises(ModelNotFound):
        provider.measure("nobody:1b")
    practice_registry.state.faults.plan("*", "status:401")
    with pytest.raises(AccessDenied):
        provider.measure("gemma3:4b")


def test_a_silent_registry_costs_five_seconds_at_most(
    practice_registry, provider_at, monkeypatch
):
    monkeypatch.setattr(ollama_registry, "TOTAL_SECONDS", 0.3)
    practice_registry.state.faults.plan("*", "stall_before_first_byte")
    with pytest.raises(ProviderAway, match="in time"):
        provider_at(NOBODY, practice_registry.url).measure("gemma3:4b")


# What the store holds


def test_the_list_is_what_the_server_holds(provider):
    model = {found.name: found for found in provider.list_installed()}["gemma3:4b"]
    assert (model.family, model.quantization, model.format) == (
        "gemma3",
        "Q4_K_M",
        "gguf",
    )
    assert model.modified_at.tzinfo is not None


def test_cloud_models_are_left_out_where_clouds_are_ruled_out(
    odd_server, provider_at, set_env
):
    listed = [
        {"model": "big:120b-cloud"},
        {"model": "stub:1b", "remote_host": "https://ollama.com"},
        {"model": "here:1b", "modified_at": "0001-01-01T00:00:00Z"},
        {"model": "no/such name"},
    ]
    url = odd_server({"/api/tags": (200, json.dumps({"models": listed}).encode())})
    provider = provider_at(url)
    names = [model.name for model in provider.list_installed()]
    assert names == ["big:120b-cloud", "stub:1b", "here:1b"]
    set_env(OLLAMA_NO_CLOUD=True)
    assert [model.name for model in provider.list_installed()] == ["here:1b"]
    assert provider.list_installed()[0].modified_at is None


def test_a_server_that_is_away_is_named(provider_at):
    with pytest.raises(ProviderAway, match=NOBODY):
        provider_at().list_installed()


def test_a_description_tells_what_the_server_declares(provider):
    said = provider.describe("gemma3:4b")
    assert said.context_length == 131_072
    assert said.license
    assert "\n" not in said.license
    assert (said.supports_chat, said.supports_vision) == (True, True)
    assert (said.supports_function_calling, said.supports_thinking) == (False, False)
    assert said.supports_system_role is True
    assert said.allowed_roles == ("system", "user", "assistant")


def test_what_an_old_server_leaves_out_is_unknown(odd_server, provider_at):
    shown = {"template": "", "model_info": None, "license": ["odd"], "details": 7}
    url = odd_server({"/api/show": (200, json.dumps(shown).encode())})
    said = provider_at(url).describe("gemma3:4b")
    assert said.supports_chat is None
    assert said.supports_system_role is None
    assert said.context_length is None
    assert said.allowed_roles == ()


def test_describing_what_is_gone_says_so(provider):
    with pytest.raises(ModelNotFound, match="nobody:1b"):
        provider.describe("nobody:1b")


def test_a_server_that_cannot_describe_is_no_missing_model(odd_server, provider_at):
    url = odd_server({"/api/version": (200, b"{}")})
    with pytest.raises(ProviderFailed, match="does not know this call"):
        provider_at(url).describe("gemma3:4b")


@pytest.mark.parametrize(
    ("template", "has_place"),
    [
        ("", None),
        ("{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}", True),
        ('{{ range .Messages }}{{ if eq .Role "system" }}x{{ end }}{{ end }}', True),
        ("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}", True),
        ('{{ range .Messages }}{{ if eq .Role "user" }}x{{ end }}{{ end }}', False),
        ("{{ .Prompt }}", False),
        ("{% if messages[0]['role'] == 'system' %}x{% endif %}", True),
        (
            "{% for message in messages %}{{ message['role'] + '\\n' }}{% endfor %}",
            True,
        ),
        ("{% for message in messages %}<{{ message.role }}>{% endfor %}", True),
        (
            "{% if messages[0]['role'] == 'system' %}"
            "{{ raise_exception('System role not supported') }}{% endif %}",
            False,
        ),
        ("{% if message['role'] == 'user' %}[INST]{% endif %}", False),
    ],
)
def test_the_place_of_a_system_message_is_read_from_the_template(template, has_place):
    assert words.system_role_in(template) is has_place


# Fetching


def test_a_fetch_tells_its_phases_in_order_and_its_bytes(provider, practice_ollama):
    heard = []
    provider.fetch("qwen3:0.6b", tell=heard.append, check=go_on)
    phases = list(dict.fromkeys(news.phase for news in heard))
    assert phases == ["resolving", "downloading", "verifying", "registering"]
    coming = [news for news in heard if news.phase == "downloading"]
    assert all(news.part.startswith("sha256:") for news in coming)
    assert all(0 <= news.done <= news.total for news in coming)
    assert "qwen3:0.6b" in practice_ollama.state.model_names()


def test_what_ends_a_fetch_passes_through_unchanged(provider):
    def check() -> None:
        raise Stop

    with pytest.raises(Stop):
        provider.fetch("qwen3:0.6b", tell=lambda news: None, check=check)


@pytest.mark.parametrize(
    ("vendor", "refusal"),
    [
        ("write /m/blobs/sha256-x-partial: no space left on device", DiskFull),
        (
            "digest mismatch, file must be downloaded again: want a got b",
            DigestMismatch,
        ),
        ("pull model manifest: file does not exist", ModelNotFound),
        ("unauthorized: access denied", AccessDenied),
        ("403: {}", AccessDenied),
        ("max retries exceeded: 404 from the store", ProviderAway),
        ("dial tcp: lookup registry.ollama.ai: no such host", ProviderAway),
        ("502: bad gateway", ProviderAway),
        ("this model requires MLX support, but it is not available", UnsupportedModel),
        ("the model requires a newer version of Ollama", UnsupportedModel),
        ("a sentence nobody has seen", ProviderFailed),
    ],
)
def test_each_complaint_of_the_vendor_is_its_own_refusal(
    odd_server, provider_at, vendor, refusal
):
    lines = b'{"status":"pulling manifest"}\n' + json.dumps({"error": vendor}).encode()
    url = odd_server({"/api/pull": (200, lines)})
    with pytest.raises(refusal, match=url) as caught:
        provider_at(url).fetch("m:1b", tell=lambda news: None, check=go_on)
    assert type(caught.value) is refusal
    assert vendor.rstrip(".") in str(caught.value)


def test_a_models_name_is_not_read_as_a_complaint(odd_server, provider_at):
    said = json.dumps({"error": "model 'timeout:1b' not found"}).encode()
    url = odd_server({"/api/pull": (200, said)})
    with pytest.raises(ModelNotFound):
        provider_at(url).fetch("timeout:1b", tell=lambda news: None, check=go_on)


@pytest.mark.parametrize("fault", ["cut_mid_line:1", "garbage", "status:503"])
def test_a_fetch_that_broke_off_is_passing(provider, practice_ollama, fault):
    practice_ollama.state.faults.plan("/api/pull", fault)
    with pytest.raises(ProviderAway, match=r"qwen3:0\.6b"):
        provider.fetch("qwen3:0.6b", tell=lambda news: None, check=go_on)


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        ("disk_full", DiskFull),
        ("max_retries", ProviderAway),
        ("access_denied", AccessDenied),
        ("digest_mismatch", DigestMismatch),
        ("end_early", ProviderAway),
        ("garbage_line", ProviderAway),
        ("html", ProviderAway),
    ],
)
def test_a_fetch_ends_as_the_real_server_would_end_it(
    provider, practice_ollama, fault, refusal
):
    practice_ollama.state.faults.plan("/api/pull", fault)
    with pytest.raises(refusal):
        provider.fetch("qwen3:0.6b", tell=lambda news: None, check=go_on)
    assert "qwen3:0.6b" not in practice_ollama.state.model_names()


def test_the_next_fetch_goes_on_where_one_was_left(provider, practice_ollama):
    practice_ollama.state.faults.plan("/api/pull", "cut_after_tokens:3")
    with pytest.raises(ProviderAway):
        provider.fetch("qwen3:0.6b", tell=lambda news: None, check=go_on)
    (kept,) = practice_ollama.state.folder.partials().values()
    heard = []
    provider.fetch("qwen3:0.6b", tell=heard.append, check=go_on)
    assert next(news for news in heard if news.part).done == kept > 0


def test_leaving_a_fetch_stops_the_download_there(provider, practice_ollama):
    practice_ollama.state.bytes_per_second = 1_000_000

    def tell(news) -> None:
        if news.done:
            raise Stop

    with pytest.raises(Stop):
        provider.fetch("qwen3:0.6b", tell=tell, check=go_on)
    wait_until(lambda: practice_ollama.state.cancelled == 1)
    assert practice_ollama.state.folder.partials()


# Removing


def test_a_model_leaves_memory_before_it_leaves_the_disk(provider, practice_ollama):
    provider._client.load("gemma3:4b", keep_alive="5m", seconds=10, check=go_on)
    provider.remove("gemma3:4b", check=go_on)
    assert practice_ollama.state.loaded() == []
    assert "gemma3:4b" not in practice_ollama.state.model_names()
    assert practice_ollama.state.last_bodies["/api/chat"]["keep_alive"] == 0


def test_removing_what_is_gone_is_fine(provider):
    provider.remove("nobody:1b", check=go_on)


def test_removing_at_a_server_that_is_away_is_passing(provider_at):
    with pytest.raises(ProviderAway):
        provider_at().remove("gemma3:4b", check=go_on)


# Ollama's own program

PULLS = """
for line in ("pulling manifest", "pulling 6a0746a1ec1a…  45% ▕██ ▏ 900 MB/2.0 GB",
             "pulling 6a0746a1ec1a: 100% ▕████▏ 2.0 GB", "verifying sha256 digest",
             "writing manifest", "success"):
    sys.stderr.write("\\x1b[1G" + line + "\\x1b[K")
    sys.stderr.flush()
"""


def test_a_server_without_the_route_is_told_by_its_own_program(
    odd_server, provider_at, program
):
    url = odd_server({"/api/tags": (200, b'{"models":[]}')})
    noted = program(PULLS)
    heard = []
    provider_at(url).fetch("gemma3:4b", tell=heard.append, check=go_on)
    arguments, host, _pid = json.loads(noted.read_text())
    assert (arguments, host) == (["pull", "gemma3:4b"], url)
    assert [news.phase for news in heard] == [
        "resolving",
        "downloading",
        "downloading",
        "verifying",
        "registering",
        "registering",
    ]
    assert (heard[1].done, heard[1].total) == (900_000_000, 2_000_000_000)
    assert (heard[2].done, heard[2].total) == (2_000_000_000, 2_000_000_000)


def test_the_program_names_layers_as_the_manifest_does(
    odd_server, provider_at, program
):
    whole = "sha256:6a0746a1ec1a" + "0" * 52
    layer = {"mediaType": "x", "digest": whole, "size": 2_000_000_000}
    body = json.dumps({"layers": [layer], "config": layer}).encode()
    url = odd_server({PLACE: (200, body)})
    program(PULLS)
    heard = []
    provider_at(url, url).fetch("gemma3:4b", tell=heard.append, check=go_on)
    assert heard[1].part == whole


def test_the_program_is_ended_at_once_when_somebody_asks(
    odd_server, provider_at, program
):
    url = odd_server({"/api/tags": (200, b'{"models":[]}')})
    noted = program("print('pulling manifest', flush=True)\ntime.sleep(600)\n")

    def tell(news) -> None:
        raise Stop

    began = time.monotonic()
    with pytest.raises(Stop):
        provider_at(url).fetch("gemma3:4b", tell=tell, check=go_on)
    assert time.monotonic() - began < 5
    pid = json.loads(noted.read_text())[2]
    assert not Path(f"/proc/{pid}").exists()


def test_the_programs_complaint_is_a_refusal(odd_server, provider_at, program):
    url = odd_server({"/api/tags": (200, b'{"models":[]}')})
    program("sys.exit('Error: pull model manifest: file does not exist')")
    with pytest.raises(ModelNotFound):
        provider_at(url).fetch("gemma3:4b", tell=lambda news: None, check=go_on)


def test_the_program_removes_and_lists_where_http_cannot(
    odd_server, provider_at, program
):
    url = odd_server({"/api/version": (200, b"{}")})
    noted = program("print('deleted')")
    provider_at(url).remove("gemma3:4b", check=go_on)
    assert json.loads(noted.read_text())[0] == ["rm", "gemma3:4b"]
    program("sys.exit(\"Error: model 'gemma3:4b' not found\")")
    provider_at(url).remove("gemma3:4b", check=go_on)
    program(
        "print('NAME         ID            SIZE      MODIFIED')\n"
        "print('gemma3:4b    a2af6cc3eb7f  3.3 GB    2 days ago')\n"
    )
    (found,) = provider_at(url).list_installed()
    assert (found.name, found.size_bytes) == ("gemma3:4b", 3_300_000_000)


@pytest.mark.parametrize("command", ["/nowhere/ollama", "'unbalanced", "", "  "])
def test_a_missing_program_is_a_sentence(odd_server, provider_at, set_env, command):
    set_env(OLLAMA_CLI=command)
    provider = provider_at(odd_server({"/api/version": (200, b"{}")}))
    with pytest.raises(ProviderFailed, match="OLLAMA_CLI"):
        provider.fetch("gemma3:4b", tell=lambda news: None, check=go_on)
    with pytest.raises(ProviderFailed, match="OLLAMA_CLI"):
        provider.remove("gemma3:4b", check=go_on)  # never the system's own rm


def test_a_name_that_looks_like_an_option_never_reaches_the_program():
    with pytest.raises(WireError, match="cannot be a model's name"):
        OllamaCli(sys.executable, NOBODY).remove("-c", check=go_on)


@pytest.mark.parametrize(
    ("line", "done", "total"),
    [
        (
            "pulling 6a0746a1ec1a...  45% ▕███   ▏ 900 MB/2.0 GB   11 MB/s  1m30s",
            0.9,
            2,
        ),
        ("pulling 6a0746a1ec1a:  45% ▕███   ▏ 900 MB/2.0 GB", 0.9, 2),
        ("pulling 6a0746a1ec1a... 100% ▕██████▏ 2.0 GB", 2, 2),
        ("pulling 6a0746a1ec1a... 999% ▕██████▏ 9.9.9 GB", 0, 0),
        ("pulling 6a0746a1ec1a... 3%", 0, 0),
    ],
)
def test_progress_is_read_from_old_and_new_bars(line, done, total):
    said = progress_in(line)
    assert said.digest == "6a0746a1ec1a"
    assert (said.completed, said.total) == (done * 10**9, total * 10**9)


# Where the bytes are


def test_the_store_of_another_machine_has_no_folder_here(provider_at):
    assert provider_at("http://192.0.2.7:11434").store_folder() is None


def test_the_store_is_looked_for_where_ollama_keeps_it(
    provider_at, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ollama" / "models").mkdir(parents=True)
    assert provider_at().store_folder() == tmp_path / ".ollama" / "models"


# Which provider


def test_a_provider_is_kept_until_its_address_changes(set_env):
    first = registry.provider_for("ollama")
    assert registry.provider_for("ollama") is first
    set_env(OLLAMA_BASE_URL="http://127.0.0.1:8")
    try:
        assert registry.provider_for("ollama") is not first
    finally:
        registry.close_all()


@pytest.mark.parametrize("name", ["dockerhub", "hf", "", "../x"])
def test_a_provider_nobody_built_is_refused_with_what_there_is(name):
    with pytest.raises(InvalidBody) as caught:
        registry.provider_for(name)
    (error,) = caught.value.extras["errors"]
    assert error["loc"] == "body.provider"
    assert "ollama" in error["message"]


def shown_with(template):
    return ShownModel(
        license="",
        template=template,
        system="",
        parameters="",
        capabilities=("completion",),
        model_info={},
        format="gguf",
        family="",
        parameter_size="",
        quantization="",
        context_length=None,
    )


def test_a_jinja_template_is_rendered_rather_than_searched():
    """The first Phi 3 never names the role and loses what it says."""
    generic = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"
    shown = shown_with(generic)

    said = words.description_of(shown)

    assert words.system_role_in(generic) is True
    assert said.supports_system_role is False
    assert said.allowed_roles == ("user", "assistant")
    assert said.sources["supports_system_role"] == "template"


def test_a_template_of_ollamas_own_is_searched():
    shown = shown_with("{{ .System }}{{ .Prompt }}")

    assert words.description_of(shown).supports_system_role is True
