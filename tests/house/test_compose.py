"""docker-compose.yml and Dockerfile keep what docs/deployment.md promises."""

import shutil
import subprocess

import pytest

from tests.full.compose import (
    ROLES,
    ROOT,
    compose,
    image_content,
    instructions,
    service,
)
from venom_site.embedded.place import choose_place
from venom_site.embedded.up import roles
from venom_site.env import SECRETS, Env

SERVING = tuple(role for role in ROLES if role != "prepare")


def test_docker_compose_accepts_the_file():
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed; CI installs it")

    answer = subprocess.run(
        [program, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""


@pytest.mark.parametrize("name", ["postgres", "redis", *SERVING])
def test_everything_that_keeps_running_has_a_health_check_and_comes_back(name):
    healthcheck = service(name)["healthcheck"]

    assert healthcheck["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= healthcheck.keys()
    assert service(name)["restart"] == "unless-stopped"


def test_prepare_runs_once_before_everything_else():
    assert service("prepare")["restart"] == "no"
    for role in SERVING:
        waits_for = service(role)["depends_on"]
        assert waits_for["prepare"] == {"condition": "service_completed_successfully"}
        assert waits_for["redis"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_change_nothing_but_its_data(role):
    told = service(role)

    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["volumes"] == ["venom-data:/data"]
    assert told["build"] == "."
    assert "user" not in told  # the image's own, checked below


def test_the_image_ends_as_a_user_without_rights_who_owns_the_data_folder():
    assert instructions("USER") == ["venom"]
    assert any(
        "useradd" in line and "chown venom /data" in line
        for line in instructions("RUN")
    )


def test_the_image_installs_only_pinned_wheels():
    (install,) = [line for line in instructions("RUN") if "pip install" in line]

    assert "--require-hashes --only-binary :all:" in install


def test_the_image_holds_the_product_and_nothing_private():
    names = {path.name for path in image_content()}

    assert {"manage.py", "venom_site", "runtime_app", "templates"} <= names
    assert not names & {"tests", "data", "secrets", ".env", ".git"}


@pytest.mark.parametrize("name", ["postgres", *ROLES])
def test_secrets_come_by_file_only(name):
    told = service(name)
    variables = told["environment"]
    plain = SECRETS - {"REDIS_URL"}  # it holds no password there

    assert not plain & variables.keys()
    for variable, value in variables.items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in told["secrets"]
        else:
            assert "PASSWORD" not in variable
    assert "@" not in variables.get("REDIS_URL", "")
    assert set(told["secrets"]) <= compose()["secrets"].keys()


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_one_that_the_product_knows(role):
    given = {name.removesuffix("_FILE") for name in service(role)["environment"]}

    assert given <= Env.model_fields.keys()


def test_make_secrets_writes_every_file_that_is_mounted():
    recipe = (ROOT / "Makefile").read_text().partition("\nsecrets:")[2]

    for name, told in compose()["secrets"].items():
        assert told == {"file": f"./secrets/{name}"}
        assert f"(s/'{name}')" in recipe


def test_only_loopback_reaches_the_published_ports():
    published = {
        name: told["ports"]
        for name, told in compose()["services"].items()
        if "ports" in told
    }

    assert published.keys() == {"web", "gateway"}
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_sign_in_link_works_from_outside_the_container():
    """Symptom: the link of the first start answered 403, because the browser's
    address inside the container is the bridge's, not loopback."""
    assert service("web")["environment"]["VENOM_ALLOWED_HOSTS"]


def test_a_stop_leaves_time_for_the_drain():
    assert service("worker")["stop_grace_period"] == "20s"


def test_beat_runs_once():
    told = compose()["services"]
    schedulers = [
        name for name in told if " beat " in " ".join(told[name].get("command", []))
    ]

    assert schedulers == ["beat"]


def test_uvicorn_keeps_an_idle_connection_longer_than_clients_and_balancers(tmp_path):
    """Whoever closes first must know whether it is about to ask: the official clients
    keep one for 5 s, balancers for 60."""
    place = choose_place(tmp_path, environment={})
    web = next(role for role in roles(place) if role.name == "web")

    for words in (web.argv, service("gateway")["command"]):
        assert int(words[words.index("--timeout-keep-alive") + 1]) > 60
