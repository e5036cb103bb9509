"""Fixtures of doors: sockets of a running product, and people who are signed in."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.test import Client
from websockets.sync.client import connect


@pytest.fixture
def open_socket(web):
    """open_socket("/ws/ui/", cookie=…, key=…) → a socket of that server."""

    @contextmanager
    def open_one(path, *, cookie="", key="", **options):
        headers = {}
        if cookie:
            headers["Cookie"] = cookie
        if key:
            headers["Authorization"] = f"Bearer {key}"
        address = web.url.replace("http", "ws") + path
        options.setdefault("origin", web.url)
        with connect(
            address, additional_headers=headers, proxy=None, **options
        ) as socket:
            yield socket

    return open_one


@pytest.fixture
def signed_in(make_user):
    """signed_in("Operator") → the cookie of a session of that group."""

    def sign_in(group="Operator"):
        client = Client()
        client.force_login(make_user(group))
        return f"venom_session={client.cookies['venom_session'].value}"

    return sign_in


@pytest.fixture
def staff(make_user):
    """staff("Operator") → a signed-in member of staff in that group."""

    def make(group: str) -> Client:
        user = make_user(group)
        user.is_staff = True
        user.save()
        client = Client(raise_request_exception=False)
        client.force_login(user)
        return client

    return make
