"""What docs/deployment.md says is so: its variables, its commands, its proxy."""

import re
import sqlite3

import pytest
from django.core.management import get_commands
from django.test import Client
from django.urls import reverse

from tests.full.compose import ROLES, ROOT, service
from venom_site.env import SECRETS, Env

DOCS = (ROOT / "docs" / "deployment.md").read_text()
ORIGIN = "https://venom.example.org"


def test_every_variable_exists():
    files = {f"{name}_FILE" for name in SECRETS}
    known = Env.model_fields.keys() | files | {"VENOM_SKIP_BOOTSTRAP", "OLLAMA_HOST"}

    found = re.findall(r"\b(?:VENOM|OLLAMA|VLLM|DATABASE|REDIS)_[A-Z_]+\b", DOCS)

    assert len(found) > 10
    assert set(found) <= known


def test_every_command_exists():
    found = set(re.findall(r"manage\.py (\w+)", DOCS))

    assert {"prepare", "doctor", "create_api_key", "rotate_secrets"} <= found
    assert found <= get_commands().keys()


def test_the_roles_by_hand_are_those_of_the_compose_file():
    """Same program, same application, same queues."""
    for role in ROLES:
        program = service(role)["command"][1:3]
        assert f"python {' '.join(program)}" in DOCS
    for word in ("-P threads -c 8", "-Q default,node.main", "--pidfile="):
        assert word in DOCS


def test_the_stops_are_those_of_the_compose_file():
    rows = dict(re.findall(r"^\| (\w+) \|.*\| ?(\d+) s", DOCS, re.M))

    for role, seconds in rows.items():
        assert service(role).get("stop_grace_period", "10s") == f"{seconds}s"
    assert rows.keys() == {"web", "gateway", "worker", "beat"}


def test_the_copy_of_a_running_sqlite_database_is_whole(tmp_path):
    path, copy = tmp_path / "venom.sqlite3", tmp_path / "venom.backup.sqlite3"
    script = re.search(r'python3 -c "(.+?)"`, and', DOCS)[1].replace('\\"', '"')
    script = script.replace("data/venom.sqlite3", str(path))
    with sqlite3.connect(path) as running:
        running.execute("PRAGMA journal_mode=WAL")
        running.execute("CREATE TABLE kept (word)")
        running.execute("INSERT INTO kept VALUES ('yes')")
        running.commit()

        exec(script.replace("venom.backup.sqlite3", str(copy)), {})

    assert sqlite3.connect(copy).execute("SELECT word FROM kept").fetchall() == [
        ("yes",)
    ]


@pytest.fixture
def through_the_proxy(db):
    """A browser on https, as Django sees it when the proxy keeps `Host`."""
    headers = {"Host": "venom.example.org", "Origin": ORIGIN}
    return Client(
        enforce_csrf_checks=True, raise_request_exception=False, headers=headers
    )


def _post_sign_in(browser):
    shown = browser.get(reverse("sign-in"))
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)[1]
    form = {"username": "nobody", "password": "x", "csrfmiddlewaretoken": token}
    return browser.post(reverse("sign-in"), form)


def test_a_form_is_taken_with_both_settings(through_the_proxy, settings):
    settings.ALLOWED_HOSTS = ["venom.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = [ORIGIN]

    assert _post_sign_in(through_the_proxy).status_code == 422  # a wrong password


def test_without_the_trusted_origin_every_form_is_403(through_the_proxy, settings):
    settings.ALLOWED_HOSTS = ["venom.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = []

    assert _post_sign_in(through_the_proxy).status_code == 403


def test_without_the_allowed_host_every_request_is_400(through_the_proxy, settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]

    answer = through_the_proxy.get(reverse("sign-in"))

    assert answer.status_code == 400
    assert "venom.example.org" not in answer.text
