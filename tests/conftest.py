"""Fixtures of every test: principals, signed-in clients, keys."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings

from runtime_app.governance import keys
from runtime_app.governance.groups import ensure_groups
from venom_site.lib.access import SYSTEM, Scope

pytest_plugins = ["tests.fakes.fixtures", "tests.real.fixtures", "tests.serving"]


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
def no_broker():
    """Messages go nowhere: tests carry operations out themselves."""
    from celery import current_app

    current_app.conf.broker_url = "memory://"
