"""Signing in, out and by the one-time link, as a browser meets them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from history_app.models import AuditEntry
from runtime_app.governance import links
from runtime_app.models import SignInLink
from venom_site.lib import counters

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def a_quick_hash_and_no_failures_before(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.REDIS_URL = ""
    counters._counts.clear()


@pytest.fixture
def browser(db):
    return Client(raise_request_exception=False)


@pytest.fixture
def link(db):
    return reverse("welcome", args=[links.create_link()])


def test_the_welcome_page_shows_a_button_and_consumes_nothing(browser, link):
    for _ in range(2):
        answer = browser.get(link)
        assert answer.status_code == 200
        assert b'name="username"' in answer.content

    assert not SignInLink.objects.filter(used_at__isnull=False)
    assert not User.objects.exists()


def test_the_first_link_makes_the_owner_and_signs_in(browser, link):
    answer = browser.post(link, {"username": "anna", "password": "", "repeated": ""})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    owner = User.objects.get()
    assert owner.is_superuser
    assert owner.is_staff
    assert owner.get_username() == "anna"
    assert [group.name for group in owner.groups.all()] == ["Admin"]
    assert not owner.has_usable_password()
    assert browser.get("/admin/").status_code == 200


def test_a_bare_press_of_the_button_makes_an_owner_called_owner(browser, link):
    browser.post(link)

    assert User.objects.get().get_username() == "owner"


def test_a_link_works_once_and_the_page_says_what_to_do(browser, link):
    browser.post(link)

    for answer in (Client().get(link), Client().post(link)):
        assert answer.status_code == 410
        assert b"make run" in answer.content
    assert User.objects.count() == 1


def test_a_later_link_signs_in_the_same_owner_and_asks_nothing(browser, link):
    browser.post(link, {"username": "anna"})
    second = reverse("welcome", args=[links.create_link()])

    other = Client()
    assert b'name="username"' not in other.get(second).content
    assert other.post(second).status_code == 302
    assert User.objects.count() == 1
    assert other.get(reverse("help")).context["user"].get_username() == "anna"


def test_an_expired_link_and_one_from_the_future_are_refused(browser, link):
    for shift in (-timedelta(seconds=1), timedelta(hours=1)):
        SignInLink.objects.update(expires_at=timezone.now() + shift)
        assert browser.post(link).status_code == 410
    assert not User.objects.exists()


def test_two_passwords_that_differ_are_refused_and_the_link_stays_good(browser, link):
    answer = browser.post(
        link, {"username": "anna", "password": PASSWORD, "repeated": "another one"}
    )

    assert answer.status_code == 422
    assert b"The two passwords differ." in answer.content
    assert browser.post(link, {"username": "anna"}).status_code == 302


def test_a_name_that_is_taken_is_refused_and_the_link_stays_good(browser, link):
    User.objects.create_user("anna")

    answer = browser.post(link, {"username": "anna"})

    assert answer.status_code == 422
    assert "exists" in answer.content.decode()
    assert browser.post(link, {"username": "berta"}).status_code == 302


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "", "garbage"])
def test_a_link_is_refused_from_elsewhere(browser, link, address):
    answer = browser.post(link, REMOTE_ADDR=address)

    assert answer.status_code == 403
    assert b"VENOM_ALLOWED_HOSTS" in answer.content
    assert not User.objects.exists()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_link_works_from_this_machine_under_all_its_addresses(browser, link, address):
    assert browser.get(link, REMOTE_ADDR=address).status_code == 200


def test_a_link_works_from_anywhere_once_hosts_are_named(browser, link, settings):
    settings.SIGN_IN_LINK_FROM_ANYWHERE = True

    assert browser.get(link, REMOTE_ADDR="192.0.2.7").status_code == 200


def test_only_the_hash_of_a_token_is_stored(db):
    token = links.create_link()

    stored = str(list(SignInLink.objects.values()))
    assert len(token) == 43
    assert token not in stored


def test_old_links_are_forgotten(db):
    links.create_link()
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(days=2))
    links.create_link()

    assert links.forget_old_links() == 1
    assert SignInLink.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_links_at_once_make_one_owner():
    tokens = [links.create_link(), links.create_link()]
    made = []

    def consume(number):
        try:
            made.append(links.consume_link(tokens[number], name=f"owner{number}").pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 2
    assert len(set(made)) == 1
    assert User.objects.filter(is_superuser=True).count() == 1


def test_a_password_signs_in_rotates_the_session_and_leaves_an_audit_row(
    browser, make_user
):
    user = make_user("Operator", "anna")
    browser.get(reverse("help"))
    session = browser.session
    session["kept"] = 1
    session.save()
    before = session.session_key

    answer = browser.post(
        reverse("sign-in"),
        {"username": "anna", "password": PASSWORD, "next": "/runtimes/"},
    )

    assert (answer.status_code, answer["Location"]) == (302, "/runtimes/")
    assert browser.session.session_key != before
    entry = AuditEntry.objects.get(verb="session.sign_in")
    assert (entry.actor, entry.object_id) == ("anna", str(user.pk))
    assert entry.after == {"address": "127.0.0.1", "by": "password"}


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/x", "javascript:alert(1)"]
)
def test_sign_in_never_leads_to_another_site(browser, make_user, target):
    make_user("Viewer", "anna")

    answer = browser.post(
        reverse("sign-in"), {"username": "anna", "password": PASSWORD, "next": target}
    )

    assert answer["Location"] == "/"


def test_a_wrong_password_is_422_and_leaves_no_password_in_the_audit(
    browser, make_user
):
    make_user("Viewer", "anna")
    browser.post(reverse("sign-in"), {"username": "anna", "password": "hunter2hunter2"})
    answer = browser.post(
        reverse("sign-in"), {"username": "hunter2hunter2", "password": "anna"}
    )

    assert answer.status_code == 422
    entries = AuditEntry.objects.filter(verb="session.refuse").order_by("id")
    assert [entry.actor for entry in entries] == ["anna", "unknown"]
    assert "hunter2" not in str(list(entries.values()))


def test_the_eleventh_failure_of_five_minutes_is_429(browser, make_user):
    make_user("Viewer", "anna")
    wrong = {"username": "anna", "password": "wrong"}
    statuses = [browser.post(reverse("sign-in"), wrong).status_code for _ in range(10)]

    refused = browser.post(
        reverse("sign-in"), {"username": "Anna", "password": PASSWORD}
    )

    assert statuses == [422] * 10
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 300
    elsewhere = {"username": "anna", "password": PASSWORD}
    answer = browser.post(reverse("sign-in"), elsewhere, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 302


def test_a_success_forgives_the_failures_before_it(browser, make_user):
    make_user("Viewer", "anna")
    for password in ["wrong"] * 9 + [PASSWORD] + ["wrong"] * 9:
        answer = browser.post(
            reverse("sign-in"), {"username": "anna", "password": password}
        )
        assert answer.status_code in (302, 422)
        browser.logout()


def test_signing_out_ends_the_session_and_needs_a_post(page_client):
    client = page_client("Viewer")

    assert client.get(reverse("sign-out")).status_code == 302
    assert client.get(reverse("help")).context["user"].is_authenticated
    assert client.post(reverse("sign-out")).status_code == 200
    assert not client.get(reverse("help")).context["user"].is_authenticated
    assert AuditEntry.objects.filter(verb="session.sign_out").count() == 1


def test_signed_out_pages_lead_to_sign_in_and_back(browser):
    answer = browser.get("/runtimes/?x=1")

    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=%2Fruntimes%2F%3Fx%3D1"
    part = browser.get("/runtimes/", HTTP_HX_REQUEST="true")
    assert part.status_code == 204
    assert part["HX-Redirect"].startswith("/sign-in/?next=")


def test_theme_and_language_are_kept_in_cookies(browser):
    dark = browser.post(reverse("set-theme"), {"theme": "dark", "next": "/help/"})

    assert dark["Location"] == "/help/"
    assert browser.cookies["venom_theme"].value == "dark"
    assert b'data-theme="dark"' in browser.get(reverse("help")).content
    browser.post(reverse("set-theme"), {"theme": "purple"})
    assert browser.cookies["venom_theme"].value == ""
    browser.post(reverse("set-language"), {"language": "pl", "next": "/help/"})
    assert browser.cookies["django_language"].value == "pl"
    assert b'lang="pl"' in browser.get(reverse("help")).content


def test_a_form_of_another_site_is_refused(make_user):
    make_user("Viewer", "anna")
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False)

    answer = strict.post(reverse("sign-in"), {"username": "anna", "password": PASSWORD})

    assert answer.status_code == 403
    assert b"too old" in answer.content
