"""Fixtures of every test: principals, signed-in clients, keys."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client, TransactionTestCase, override_settings

from models_app.services import machine
from runtime_app.governance import keys
from runtime_app.governance.groups import ensure_groups
from runtime_app.views import stat_cards
from tests.fakes.nvml import PracticeGpu, PracticeNvml
from tests.quick_flush import after_a_test
from venom_site.clients import hardware
from venom_site.clients.nvml import GpuReader
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.kept import Kept

pytest_plugins = ["tests.fakes.fixtures", "tests.real.fixtures", "tests.serving"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Before the test database is dropped, sessions that a thread or a process left in
    it are ended: PostgreSQL drops none that is in use."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


_STORED = ("django_db", "process", "full", "browser", "real")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    _mark_bare(items)
    result = yield
    if os.environ.get("PYTEST_XDIST_WORKER"):
        _longest_file_first(items)
    return result


def _mark_bare(items):
    """Marks files that meet neither database nor Redis as `bare`: with PostgreSQL and
    Redis they could only say the same again."""
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    for tests in files.values():
        if not any(map(_is_stored, tests)):
            for item in tests:
                item.add_marker("bare")


def _longest_file_first(items):
    """Side by side a long file that is begun last keeps one process busy and leaves the
    others idle. A test of more than a second counts as ten others."""
    weights = Counter()
    for item in items:
        weights[item.path] += 10 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: -weights[item.path])


def _is_stored(item):
    fixtures = {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
    return fixtures or any(map(item.get_closest_marker, _STORED))


@pytest.fixture
def actor():
    return SYSTEM


@pytest.fixture
def make_user(db):
    """make_user("Operator") → a user in that group."""

    def make(group: str = "Viewer", name: str = "") -> User:
        ensure_groups()
        user = User.objects.create_user(name or group.lower(), password="correct horse")
        user.groups.add(Group.objects.get(name=group))
        return user

    return make


@pytest.fixture
def page_client(make_user):
    """page_client("Operator") → a signed-in browser of that group."""

    def make(group: str = "Operator") -> Client:
        client = Client(raise_request_exception=False)
        client.force_login(make_user(group))
        return client

    return make


@pytest.fixture
def api_client(db):
    """api_client("operate") → a client that sends a key with that scope."""

    def make(*scopes: str) -> Client:
        names = [Scope(scope) for scope in scopes or ("operate",)]
        _, key = keys.create_key("-".join(scopes) or "operate", names, actor=SYSTEM)
        return Client(
            raise_request_exception=False, headers={"Authorization": f"Bearer {key}"}
        )

    return make


@pytest.fixture(autouse=True, scope="session")
def quick_password_hashes():
    """PBKDF2 is slow on purpose; these passwords guard nothing."""
    hasher = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[hasher]):
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_flush_after_tests_that_commit():
    """On PostgreSQL a fiftieth of the time, see `tests.quick_flush`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TransactionTestCase, "_fixture_teardown", after_a_test)
        yield


@pytest.fixture(autouse=True)
def figures_of_no_other_test(monkeypatch):
    """A process keeps them for seconds."""
    monkeypatch.setattr(stat_cards, "figures", Kept(stat_cards.read_figures))
    monkeypatch.setattr(machine, "_hardware", Kept(machine._read_hardware, at_least=2))


@pytest.fixture
def gpus(monkeypatch):
    """gpus(PracticeGpu(…), …): this machine has these; the practice NVML comes back."""

    def plug_in(*found: PracticeGpu) -> PracticeNvml:
        library = PracticeNvml(list(found))
        reader = GpuReader(library)
        monkeypatch.setattr(hardware, "_reader", lambda: reader)
        monkeypatch.setattr(
            machine, "_hardware", Kept(machine._read_hardware, at_least=2)
        )
        return library

    return plug_in


@pytest.fixture(autouse=True)
def spool_of_no_other_test():
    """What a killed process left there would be read into another test's database."""
    yield
    for path in (settings.DATA_DIR / "spool").glob("*"):
        path.unlink(missing_ok=True)


@pytest.fixture(autouse=True, scope="session")
def no_broker():
    """Messages go nowhere: tests carry operations out themselves."""
    from celery import current_app

    current_app.conf.broker_url = "memory://"
