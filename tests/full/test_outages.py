"""PostgreSQL or Redis stop in the middle and come back: nothing is lost or doubled.

Each test has servers of its own. The roles run as docker-compose.yml starts them, and
nobody restarts one here: they must find their way back by themselves.
"""

import time

import pytest

from tests.fakes.waiting import wait_until
from tests.full.compose import service
from tests.full.roles import deployed
from tests.full.servers import Postgres, Redis
from tests.visitors import (
    assert_completed_once,
    assert_database_problem,
    caller,
    log_lines,
    post_form,
    start_probe,
    status_of,
    welcome_path,
)

pytestmark = [pytest.mark.full, pytest.mark.process, pytest.mark.slow]

SERVING = ("web", "gateway", "worker", "beat")
OUTAGE_SECONDS = 5
MOST_SECONDS = 6  # measured: 3.0, the pool's own limit
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
        running.sign_in_path = welcome_path(prepared.stdout)
        running.start(*SERVING)
        running.wait_until_healthy(*SERVING)
        yield running


@pytest.fixture(scope="module")
def browser(deployment):
    with caller(deployment.url("web")) as browser:
        post_form(browser, deployment.sign_in_path)
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


def assert_ends_well(program, pk, steps):
    wait_until(lambda: status_of(program, pk) == "completed", seconds=90)
    assert_completed_once(program, pk, steps)


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
    with caller(deployment.url("web")) as stranger:
        refused = post_form(stranger, "/sign-in/", username="owner", password="wrong")
    assert refused.status_code == 422

    time.sleep(max(0, ends - time.monotonic()))  # the outage itself
    broker.start()
    assert_ends_well(program, running, 12)
    assert_ends_well(program, meanwhile, 1)
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
        assert_database_problem(answer)
        assert spent < MOST_SECONDS, path
    for page in PAGES:
        answer, spent = timed(browser.get, page)
        assert_database_problem(answer)
        assert spent < MOST_SECONDS, page
    ready, spent = timed(browser.get, "/readyz")
    assert (ready.status_code, spent < 3) == (503, True)
    assert browser.get("/healthz").status_code == 200
    assert gateway.get("/v1/models").status_code == 200  # from what it knows

    time.sleep(max(0, ends - time.monotonic()))  # the outage itself
    postgres.start()
    wait_until(lambda: browser.get("/").status_code == 200, seconds=5)
    assert_ends_well(program, running, 20)
    deployment.wait_until_healthy(*SERVING)


def test_no_role_died_meanwhile(deployment):
    assert [role.process.poll() for role in deployment.roles.values()] == [None] * 4
