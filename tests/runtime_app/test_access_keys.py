"""Keys of programs: making, using, ending, and what of them is ever shown."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from history_app.models import AuditEntry
from runtime_app.governance import credentials, keys
from runtime_app.governance.policy import policy_number
from runtime_app.models import ApiKey
from tests.factories import RuntimeFactory
from venom_site.lib import secrets
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.errors import Conflict, Unauthorized

pytestmark = pytest.mark.django_db

OLD_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
NEW_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU="


def run(*words):
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue()


def test_the_command_prints_a_new_key_once_and_stores_only_its_hash():
    User.objects.create_superuser("anna")

    key, said = run("create_api_key", "bot", "--scope", "read", "--scope", "inference")

    assert keys.KEY_FORM.fullmatch(key)
    assert "bot" in said
    row = ApiKey.objects.get()
    assert row.scopes == ["inference", "read"]
    assert row.owner.get_username() == "anna"
    assert row.prefix == key[:12]
    assert key not in str(list(ApiKey.objects.values()))
    assert key not in str(list(AuditEntry.objects.values()))
    assert AuditEntry.objects.get(verb="key.create").channel == "cli"


def test_json_is_one_document_with_the_end_of_the_key():
    out, _ = run(
        "create_api_key", "bot", "--scope", "read", "--expires-days", "2", "--json"
    )

    made = json.loads(out)
    assert made["success"] is True
    assert made["key"].startswith("venom_")
    assert made["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bot"], "Say what the key may do"),
        (["bot", "--scope", "root"], "no scope called root"),
        (["", "--scope", "read"], "cannot be blank"),
        (["x" * 81, "--scope", "read"], "at most 80"),
        (["bot", "--scope", "read", "--expires-days", "0"], "between 1 and"),
    ],
)
def test_a_wrong_wish_is_one_sentence(words, sentence):
    with pytest.raises(CommandError, match=sentence):
        run("create_api_key", *words)
    assert not ApiKey.objects.exists()


def test_a_name_is_taken_even_by_a_revoked_key():
    keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    keys.revoke_key("bot", actor=SYSTEM)

    with pytest.raises(Conflict):
        keys.create_key("bot", [Scope.READ], actor=SYSTEM)


def test_a_revoked_an_expired_and_an_unknown_key_are_refused():
    _, revoked = keys.create_key("revoked", [Scope.READ], actor=SYSTEM)
    keys.revoke_key("revoked", actor=SYSTEM)
    past = timezone.now() - timedelta(seconds=1)
    _, expired = keys.create_key("old", [Scope.READ], actor=SYSTEM, expires_at=past)

    for key in (revoked, expired, "venom_" + "x" * 43, "venom_short", "", "\ud800"):
        with pytest.raises(Unauthorized):
            keys.principal_of_header(f"Bearer {key}")


def test_revoking_by_command_tells_gateways_and_an_unknown_name_is_a_sentence():
    keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    before = policy_number()

    out, _ = run("revoke_api_key", "bot")

    assert "revoked" in out
    assert policy_number() == before + 1
    with pytest.raises(CommandError, match="no key called “nobody”"):
        run("revoke_api_key", "nobody")


def test_a_use_is_noted_at_most_once_a_minute(django_assert_num_queries):
    row, key = keys.create_key("bot", [Scope.READ], actor=SYSTEM)
    keys.principal_of_header(f"Bearer {key}")

    with django_assert_num_queries(1):
        keys.principal_of_header(f"Bearer {key}")
    row.refresh_from_db()
    assert row.last_used_at is not None


def test_an_operator_key_reads_but_does_not_govern():
    _, key = keys.create_key("bot", [Scope.OPERATE], actor=SYSTEM)

    principal = keys.principal_of_header(f"bearer {key}")

    assert principal.scopes == {Scope.READ, Scope.OPERATE}
    assert not principal.may_view_payload


def test_secrets_are_encrypted_anew_and_lost_ones_are_named(settings):
    settings.ENCRYPTION_KEYS = OLD_KEY
    RuntimeFactory(name="kept", encrypted_key=secrets.encrypt("sk-kept-1234567890"))
    RuntimeFactory(name="lost", encrypted_key="not a token of ours")
    settings.ENCRYPTION_KEYS = f"{NEW_KEY},{OLD_KEY}"

    assert credentials.undecryptable() == ["lost"]
    with pytest.raises(CommandError, match="secrets of lost"):
        run("rotate_secrets")

    settings.ENCRYPTION_KEYS = NEW_KEY
    assert credentials.undecryptable() == ["lost"]
