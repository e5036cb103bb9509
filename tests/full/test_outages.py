"""PostgreSQL or Redis stop in the middle and come back: nothing is lost or doubled.

Each test has servers of its own. The roles run as docker-compose.yml starts them, and
nobody restarts one here: they must find their way back by themselves.
"""

import re
import time

import pytest

from tests.fakes.waiting import wait_until
from tests.full.compose import service
from tests.full.roles import caller, deployed, log_lines, start_probe, status_of
from tests.full.servers import Postgres, Redis

pytestmark = [pytest.mark.full, pytest.mark.process, pytest.mark.slow]

SERVING = ("web", "gateway", "worker", "beat")
OUTAGE_SECONDS = 5
PAGES = ("/", "/operations/", "/runtimes/", "/requests/")


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def broker():
    server = Redis()
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, postgres, broker):
    folder = tmp_path_factory.mktemp("outages")
    urls = {"database_url": postgres.url, "redis_url": broker.url}
    with deployed(folder, **urls) as running:
        prepared = running.run(*service("prepare")["command"])
        assert prepared.returncode == 0, prepared.stderr
        running.sign_in_path = re.search(r"/welcome/\S+", prepared.stdout)[0]
        running.start(*SERVING)
        running.wait_until_healthy(*SERVING)
        yield running


@pytest.fixture(scope="module")
def browser(deployment):
    with caller(deployment.url("web")) as browser:
        shown = browser.get(deployment.sign_in_path)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)[1]
        browser.post(deployment.sign_in_path, data={"csrfmiddlewaretoken": token})
        assert browser.get("/").status_code == 200
        yield browser


@pytest.fixture(scope="module")
def program(deployment):
    with caller(deployment.url("web"), deployment.new_key("operate")) as program:
        yield program


@pytest.fixture(scope="module")
def gateway(deployment):
    with caller(deployment.url("gateway"), deployment.new_key("inference")) as gateway:
        wait_until(lambda: gateway.get("/v1/models").status_code == 200, seconds=5)
        yield gateway


def running_probe(program, seconds):
    """A probe that has done two steps."""
    pk = start_probe(program, seconds)
    done = f"Step 2 of {seconds}."
    wait_until(lambda: done in log_lines(program, pk), seconds=30)
    return pk


def assert_completed_once(program, pk, steps, *, seconds=90):
    wait_until(lambda: status_of(program, pk) == "completed", seconds=seconds)
    lines = log_lines(program, pk)
    assert lines.count("Completed.") == 1
    for step in range(1, steps + 1):
        assert lines.count(f"Step {step} of {steps}.") == 1


def timed(call, *args, **kwargs):
    began = time.monotonic()
    answer = call(*args, **kwargs)
    return answer, time.monotonic() - began


def test_redis_away_delays_work_and_loses_none(
    deployment, broker, browser, program, gateway
):
    running = running_probe(program, 12)
    broker.stop()
    ends = time.monotonic() + OUTAGE_SECONDS

    meanwhile, spent = timed(start_probe, program, 1)
    assert spent < 3
    for page in PAGES:
        answer, spent = timed(browser.get, page)
        assert (answer.status_code, spent < 3) == (200, True), page
    assert gateway.get("/v1/models").status_code == 200
    form = {"username": "owner", "password": "wrong"}
    with caller(deployment.url("web")) as stranger:
        shown = stranger.get("/sign-in/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)[1]
        refused = stranger.post("/sign-in/", data=form | {"csrfmiddlewaretoken": token})
    assert refused.status_code == 422

    time.sleep(max(0, ends - time.monotonic()))  # the outage itself
    broker.start()
    assert_completed_once(program, running, 12)
    assert_completed_once(program, meanwhile, 1)
    deployment.wait_until_healthy(*SERVING)


def test_postgres_away_is_said_in_a_sentence_and_loses_nothing(
    deployment, postgres, browser, program, gateway
):
    running = running_probe(program, 20)
    postgres.stop()
    ends = time.monotonic() + OUTAGE_SECONDS

    calls = "/api/v1/models/operations"
    for method, path, body in (
        ("GET", calls, None),
        ("GET", f"{calls}/{running}", None),
        ("POST", f"{calls}/probe", {"seconds": 1}),
        ("GET", f"{calls}/{running}/stream", None),
    ):
        answer, spent = timed(program.request, method, path, json=body)
        print(f"{method} {path}: {answer.status_code} after {spent:.1f} s")
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "database_unavailable"
        assert spent < 12
    for page in PAGES:
        answer, spent = timed(browser.get, page)
        print(f"{page}: {answer.status_code} after {spent:.1f} s")
        assert answer.status_code == 503
        assert "database" in answer.text
        assert "Traceback" not in answer.text
        assert spent < 12
    ready, spent = timed(browser.get, "/readyz")
    assert (ready.status_code, spent < 3) == (503, True)
    assert browser.get("/healthz").status_code == 200
    assert gateway.get("/v1/models").status_code == 200  # from what it knows

    time.sleep(max(0, ends - time.monotonic()))  # the outage itself
    postgres.start()
    began = time.monotonic()
    wait_until(lambda: browser.get("/").status_code == 200, seconds=10)
    print(f"pages are back after {time.monotonic() - began:.1f} s")
    assert_completed_once(program, running, 20)
    assert len(program.get(calls).json()["operations"]) >= 1
    deployment.wait_until_healthy(*SERVING)


def test_no_role_died_meanwhile(deployment):
    assert [role.process.poll() for role in deployment.roles.values()] == [None] * 4
