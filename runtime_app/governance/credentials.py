"""Stored secrets of runtimes: which of them no longer open, and their rotation.

Called by `doctor` and `rotate_secrets`. The text of a secret never leaves this file.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction

from history_app import audit
from runtime_app.models import Runtime
from venom_site.lib import secrets
from venom_site.lib.access import Principal


def _stored() -> Iterator[Runtime]:
    return Runtime.objects.exclude(encrypted_key="").order_by("name").iterator()


def undecryptable() -> list[str]:
    """Names of the runtimes whose key no configured encryption key opens."""
    closed = []
    for row in _stored():
        try:
            secrets.decrypt(row.encrypted_key)
        except secrets.Undecryptable:
            closed.append(row.name)
    return closed


def rotate(*, actor: Principal) -> tuple[int, list[str]]:
    """Encrypt every secret anew with the first key: how many, and what stays closed.

    A key that somebody changes meanwhile is left as that person wrote it.
    """
    done, closed = 0, []
    with transaction.atomic():
        for row in list(_stored()):
            try:
                renewed = secrets.encrypt(secrets.decrypt(row.encrypted_key))
            except secrets.Undecryptable:
                closed.append(row.name)
                continue
            same = Runtime.objects.filter(pk=row.pk, encrypted_key=row.encrypted_key)
            done += same.update(encrypted_key=renewed)
        audit.record(
            actor,
            "secrets.rotate",
            "secrets",
            "",
            after={"rotated": done, "closed": closed},
        )
    return done, closed
