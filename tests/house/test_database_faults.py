"""A database file that is read-only, locked, damaged, gone, or on a full disk.

What `prepare` says before anything runs is tested in tests/venom_site/test_prepare.py;
here are `up`, and processes that were well when the fault came. Each must say so in a
sentence, lose nothing, and go on by itself once the fault is over.
"""

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest

from tests.embedded.stand_in import ROOT, Running, free_port
from tests.fakes.waiting import wait_until
from tests.running import House
from tests.visitors import (
    assert_completed_once,
    assert_database_problem,
    caller,
    post_form,
    start_probe,
    status_of,
    welcome_path,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

PAGES = ("/", "/operations/", "/runtimes/", "/requests/")
PROBE = "/api/v1/models/operations/probe"
# Root is asked no permissions; without these two it is, as every other user.
POWERS = "-dac_override,-dac_read_search"
PLAIN = ["setpriv", f"--bounding-set={POWERS}", f"--inh-caps={POWERS}"]


def as_plain_user(*words):
    if os.geteuid() != 0:
        return list(words)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed: root cannot be asked permissions")
    return [*PLAIN, *words]


def environment(folder, **more):
    return {
        "PATH": os.environ["PATH"],
        "VENOM_DATA_DIR": str(folder),
        "VENOM_ENV_FILE": os.devnull,
        "VENOM_SKIP_BOOTSTRAP": "1",
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
    } | more


def manage(folder, *words, **more):
    return subprocess.run(
        as_plain_user(sys.executable, "manage.py", *words),
        cwd=ROOT,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_sentence(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def sealed(tmp_path):
    """sealed(path) → nobody but root may write there until the test is over."""
    before = {}

    def seal(path):
        before[path] = path.stat().st_mode
        path.chmod(0o555 if path.is_dir() else 0o444)

    yield seal
    for path, mode in before.items():
        with contextlib.suppress(FileNotFoundError):  # SQLite removes its own files
            path.chmod(mode)


def test_a_data_folder_that_cannot_be_made_or_written_is_one_sentence(tmp_path, sealed):
    sealed(tmp_path)

    for folder in (tmp_path / "not" / "there", tmp_path):
        done = manage(folder, "prepare")
        assert_one_sentence(done, str(folder), "VENOM_DATA_DIR", "write")


def test_a_read_only_database_is_one_sentence(tmp_path, sealed):
    assert manage(tmp_path, "prepare").returncode == 0
    sealed(tmp_path / "venom.sqlite3")

    done = manage(tmp_path, "prepare")

    assert_one_sentence(done, str(tmp_path), "read-only", "Let this user write to it.")


@pytest.mark.parametrize("fault", ["damaged", "folder"])
def test_up_on_such_a_database_stops_with_its_sentence_and_starts_nothing(
    tmp_path, sealed, fault
):
    if fault == "damaged":
        (tmp_path / "venom.sqlite3").write_bytes(b"not a database at all" * 200)
    else:
        sealed(tmp_path)

    done = manage(tmp_path, "up", VENOM_PORT=str(free_port()))

    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert str(tmp_path) in said
    assert "Ready" not in said
    assert len(said.strip().splitlines()) <= 3, said


class Web:
    """uvicorn on a prepared folder, a signed-in browser and a program with a key."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "venom.sqlite3"
        prepared = manage(folder, "prepare")
        key = manage(folder, "create_api_key", "operator", "--scope", "operate")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        words = f"-m uvicorn venom_site.asgi:application --port {port}".split()
        argv = as_plain_user(sys.executable, *words, "--log-level", "warning")
        self.log = folder / "web.log"
        self.running = Running(argv, cwd=ROOT, env=environment(folder), log=self.log)
        self.browser = caller(self.url)
        self.program = caller(self.url, key.stdout.strip())
        self.sign_in_path = welcome_path(prepared.stdout)

    def wait(self):
        wait_until(self.answers, seconds=30)
        assert post_form(self.browser, self.sign_in_path).status_code == 302
        self.assert_is_well()

    def answers(self):
        try:
            return self.browser.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def assert_is_well(self):
        for page in PAGES:
            assert self.browser.get(page).status_code == 200, page
        assert self.program.post(PROBE, json={"seconds": 1}).status_code == 202
        assert "Traceback" not in self.browser.get("/").text

    def assert_refuses_to_read(self):
        for page in PAGES:
            assert_database_problem(self.browser.get(page))
        assert_database_problem(self.program.get("/api/v1/models/operations"))

    def assert_refuses_to_write(self):
        assert_database_problem(self.program.post(PROBE, json={"seconds": 1}))

    def rows(self):
        with sqlite3.connect(self.database) as connection:
            query = "SELECT count(*) FROM models_app_operation"
            return connection.execute(query).fetchone()[0]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    web = Web(tmp_path_factory.mktemp("web"))
    with web.running, web.browser, web.program:
        web.wait()
        yield web


def test_a_database_that_turns_read_only_is_read_and_not_written(web, sealed):
    before = web.rows()
    for path in web.folder.glob("venom.sqlite3*"):
        sealed(path)
    sealed(web.folder)

    assert web.program.get("/api/v1/models/operations").status_code == 200
    web.assert_refuses_to_write()

    for path in (web.folder, *web.folder.glob("venom.sqlite3*")):
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert web.rows() == before
    web.assert_is_well()


def test_a_full_disk_refuses_writing_until_there_is_space(web):
    pid = web.running.process.pid
    before = web.rows()
    limits = resource.prlimit(
        pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY)
    )
    try:
        web.assert_refuses_to_write()
        assert web.browser.get("/healthz").status_code == 200
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

    assert web.rows() == before
    web.assert_is_well()


@pytest.mark.parametrize("fault", ["damaged", "gone"])
def test_a_damaged_or_missing_database_is_said_on_every_page(web, fault, tmp_path):
    before = web.rows()
    kept = [shutil.move(path, tmp_path) for path in web.folder.glob("venom.sqlite3*")]
    if fault == "damaged":
        web.database.write_bytes(b"not a database at all" * 200)

    web.assert_refuses_to_read()
    web.assert_refuses_to_write()
    ready = web.browser.get("/readyz")

    for path in web.folder.glob("venom.sqlite3*"):
        path.unlink()
    for path in kept:
        shutil.move(path, web.folder)
    assert ready.status_code == 503
    assert web.rows() == before
    web.assert_is_well()


@pytest.fixture
def house(monkeypatch):
    """`manage.py up` on SQLite and the embedded layer, whatever we are tested on."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with House() as house:
        yield house


def test_a_database_locked_for_long_delays_work_and_loses_none(house):
    with house.client() as program:
        program.timeout = 30
        running = start_probe(program, 6)
        path = f"{house.folder}/venom.sqlite3"
        locker = sqlite3.connect(path, isolation_level=None, timeout=30)
        locker.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()

        read = program.get("/api/v1/models/operations")
        assert (read.status_code, time.monotonic() - began < 5) == (200, True)
        assert_database_problem(program.post(PROBE, json={"seconds": 1}))
        assert time.monotonic() - began < 25

        time.sleep(max(0, began + 25 - time.monotonic()))  # the lock itself
        locker.execute("ROLLBACK")
        locker.close()
        wait_until(lambda: status_of(program, running) == "completed", seconds=60)
        assert_completed_once(program, running, 6)
        found = program.get("/api/v1/models/operations").json()["operations"]
        assert [row["operation_id"] for row in found] == [running]


def test_a_broker_folder_removed_while_running_comes_back_by_itself(house):
    with house.client() as program:
        first = start_probe(program, 1)
        wait_until(lambda: status_of(program, first) == "completed", seconds=30)
        for _ in range(2):
            shutil.rmtree(f"{house.folder}/run/broker", ignore_errors=True)
            following = start_probe(program, 1)
            wait_until(
                lambda pk=following: status_of(program, pk) == "completed", seconds=60
            )
            assert_completed_once(program, following, 1)
