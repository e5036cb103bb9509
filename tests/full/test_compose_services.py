"""Every role of docker-compose.yml does its work on PostgreSQL and Redis.

One deployment serves all tests of this file, in the order in which an operator would
meet them; the last one stops it.
"""

import json
import re

import pytest
from websockets.sync.client import connect

from tests.fakes.waiting import wait_until
from tests.full.compose import service
from tests.full.roles import deployed
from tests.visitors import caller, log_lines, post_form, start_probe, welcome_path

pytestmark = [pytest.mark.full, pytest.mark.process, pytest.mark.slow]

SERVING = ("web", "gateway", "worker", "beat")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, database_url, redis_url):
    """`prepare` as the file runs it, then all that waits for it."""
    folder = tmp_path_factory.mktemp("deployment")
    with deployed(folder, database_url=database_url, redis_url=redis_url) as running:
        prepared = running.run(*service("prepare")["command"])
        assert prepared.returncode == 0, prepared.stderr
        assert prepared.stderr == ""
        running.sign_in_path = welcome_path(prepared.stdout)
        running.start(*SERVING)
        running.wait_until_healthy(*SERVING)
        yield running


@pytest.fixture(scope="module")
def key(deployment):
    return deployment.new_key("operate", "inference")


def test_every_health_check_passes(deployment):
    assert {name: deployment.is_healthy(name) for name in SERVING} == dict.fromkeys(
        SERVING, True
    )


def test_the_link_of_prepare_signs_the_owner_in(deployment):
    with caller(deployment.url("web")) as browser:
        path = deployment.sign_in_path
        answer = post_form(browser, path)

        assert (answer.status_code, answer.headers["Location"]) == (302, "/")
        for page in ("/", "/operations/", "/runtimes/"):
            assert browser.get(page).status_code == 200
        assert browser.get(path).status_code == 410


def test_a_probe_ends_and_so_does_its_stream_under_daphne(deployment, key):
    with caller(deployment.url("web"), key) as program:
        pk = start_probe(program, 2)
        with program.stream("GET", f"/api/v1/models/operations/{pk}/stream") as stream:
            text = "".join(stream.iter_text())  # ends because the server ends it

        events = re.findall(r"^event: (\w+)$", text, re.M)
        assert events[-1] == "operation_finished"
        last = json.loads(text.rpartition("data: ")[2])
        assert (last["status"], last["progress"]) == ("completed", 100)
        assert log_lines(program, pk).count("Completed.") == 1


def test_an_answer_can_be_held_until_the_end(deployment, key):
    with caller(deployment.url("web"), key) as program:
        wish = {"seconds": 1, "wait_seconds": 20}
        answer = program.post("/api/v1/models/operations/probe", json=wish)

        assert answer.json()["operation"]["status"] == "completed"


def test_news_from_the_worker_reach_a_socket_of_daphne(deployment, key):
    """Symptom: on Redis every event ended in «no running event loop»."""
    address = deployment.url("web").replace("http", "ws") + "/ws/events/"
    headers = {"Authorization": f"Bearer {key}"}
    with (
        caller(deployment.url("web"), key) as program,
        connect(address, additional_headers=headers, proxy=None) as socket,
    ):
        pk = start_probe(program, 1)
        while True:  # ends by the time limit of recv when nothing comes
            news = json.loads(socket.recv(timeout=10))
            if news["data"].get("operation_id") == pk:
                assert news["type"] == "operation.changed"
                if news["data"]["status"] == "completed":
                    break


def test_the_gateway_takes_the_key(deployment, key):
    with caller(deployment.url("gateway"), key) as program:
        answer = program.get("/v1/models")

        assert answer.status_code == 200
        assert answer.json()["object"] == "list"
    with caller(deployment.url("gateway"), "venom_" + "x" * 43) as stranger:
        assert stranger.get("/v1/models").status_code == 401


def test_the_doctor_finds_nothing_broken(deployment):
    found = deployment.manage("doctor")

    assert found.returncode == 0, found.stdout
    assert len(deployment.manage("doctor", "--only", "disk").stdout.splitlines()) == 1
    assert deployment.manage("doctor", "--only", "nonsense").returncode == 2


def test_no_role_writes_into_the_image_or_a_secret_into_its_log(deployment, key):
    written = [
        path
        for path in deployment.app.rglob("*")
        if path.stat().st_mtime > (deployment.folder / "secrets").stat().st_mtime
        and path.is_file()
    ]
    assert written == []
    output = deployment.output()
    for secret in (deployment.folder / "secrets").iterdir():
        assert secret.read_text().strip() not in output
    assert key not in output
    assert "Traceback" not in output


def test_sigterm_ends_every_role_in_time_and_leaves_nothing(deployment, key):
    with caller(deployment.url("web"), key) as program:
        pk = start_probe(program, 120)
        with program.stream("GET", f"/api/v1/models/operations/{pk}/stream") as stream:
            lines = stream.iter_lines()
            wait_until(lambda: "Step 1 of 120" in next(lines))
            deployment.roles["worker"].stop()
            drained = program.get(f"/api/v1/models/operations/{pk}").json()["operation"]
            deployment.roles["web"].stop()  # with a stream open

    assert (drained["status"], drained["phase"]) == ("pending", "interrupted")
    assert drained["attempts"] == 0  # a drain is no attempt
    deployment.roles["beat"].stop()
    deployment.roles["gateway"].stop()
    for name in ("web", "gateway"):
        assert not deployment.is_healthy(name)
    wait_until(lambda: not deployment.is_healthy("worker"), seconds=40)
    wait_until(lambda: not deployment.is_healthy("beat"), seconds=40)
    assert "Traceback" not in deployment.output()
