"""The environment's three homes say the same, and a bad one is refused at once."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from venom_site import env
from venom_site.env import Env

ROOT = Path(env.BASE_DIR)


def test_env_example_and_docs_name_exactly_the_variables_that_exist():
    example = (ROOT / ".env.example").read_text()
    docs = (ROOT / "docs" / "configuration.md").read_text()

    assert re.findall(r"^#?([A-Z_]+)=", example, re.M) == list(Env.model_fields)
    assert re.findall(r"^\| `([A-Z_]+)`(?: †)? \|", docs, re.M) == list(
        Env.model_fields
    )


def test_documented_defaults_are_the_real_ones():
    docs = (ROOT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)`(?: †)? \| (?:`(.*?)`)? *\|", docs, re.M))
    given = {name: value for name, value in rows.items() if value}

    with_docs = env.load(given, dotenv=Path("/nonexistent"))
    without = env.load({}, dotenv=Path("/nonexistent"))

    assert with_docs.model_dump() == without.model_dump()
    assert len(given) > 30


def test_no_neighbour_of_a_test_lies_beyond_loopback(settings):
    addresses = [
        urlsplit(value)
        for value in settings.ENV.model_dump().values()
        if isinstance(value, str) and value.startswith("http")
    ]

    assert len(addresses) > 5
    assert {address.hostname for address in addresses} == {"127.0.0.1"}


def test_one_message_lists_every_bad_variable():
    with pytest.raises(env.BadEnvironment) as refusal:
        env.load(
            {
                "VENOM_RUNTIME_PROFILE": "bogus",
                "MODELS_MAX_DISK_GB": "many",
                "VENOM_PORT": "0",
                "OLLAMA_BASE_URL": "ftp://x",
                "VENOM_TIME_ZONE": "Mars/Olympus",
                "VENOM_OPENAI_COMPATIBLE_SERVERS": "ollama=http://x",
                "VLLM_PORT": "8002",
                "VLLM_ENDPOINT": "http://127.0.0.1:8001/v1",
            },
            dotenv=Path("/nonexistent"),
        )
    for name in (
        "VENOM_RUNTIME_PROFILE",
        "MODELS_MAX_DISK_GB",
        "VENOM_PORT",
        "OLLAMA_BASE_URL",
        "VENOM_TIME_ZONE",
        "VENOM_OPENAI_COMPATIBLE_SERVERS",
        "VLLM_PORT and VLLM_ENDPOINT",
    ):
        assert name in str(refusal.value)


def test_a_secret_never_shows_in_the_message():
    with pytest.raises(env.BadEnvironment) as refusal:
        env.load(
            {"HF_TOKEN": "hf_verysecret", "HF_TOKEN_FILE": "/x", "VENOM_PORT": "x"},
            dotenv=Path("/nonexistent"),
        )
    assert "verysecret" not in str(refusal.value)


def test_secrets_load_from_files(tmp_path):
    file = tmp_path / "token"
    file.write_text("hf_from_file\n")

    loaded = env.load({"HF_TOKEN_FILE": str(file)}, dotenv=Path("/nonexistent"))

    assert loaded.HF_TOKEN.get_secret_value() == "hf_from_file"
    assert "hf_from_file" not in repr(loaded)


def test_the_process_environment_wins_over_dotenv(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("VENOM_PORT=8100\n# VENOM_HOST=x\nexport VENOM_TIME_ZONE='UTC'\n")

    assert env.load({}, dotenv=dotenv).VENOM_PORT == 8100
    assert env.load({"VENOM_PORT": "8200"}, dotenv=dotenv).VENOM_PORT == 8200


def test_a_port_replaces_only_the_port_of_the_address():
    loaded = env.load({"OLLAMA_PORT": "11500"}, dotenv=Path("/nonexistent"))

    assert loaded.ollama_url == "http://127.0.0.1:11500"


def test_requirements_are_pinned_by_hash_and_agree():
    runtime = (ROOT / "requirements.txt").read_text()
    dev = (ROOT / "requirements-dev.txt").read_text()
    pins = re.compile(r"^([a-z0-9_.-]+)==(\S+)", re.M)

    assert set(pins.findall(runtime)) <= set(pins.findall(dev))
    for text in (runtime, dev):
        assert "://" not in text
        assert text.count("--hash=sha256:") >= len(pins.findall(text))
