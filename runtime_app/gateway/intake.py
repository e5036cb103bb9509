"""What stands before a request is understood: its key and the bytes of its body."""

from __future__ import annotations

from runtime_app.gateway.entries import KeyEntry, Snapshot
from runtime_app.gateway.refusals import Refusal, Refused
from runtime_app.gateway.schemas import MOST_BYTES
from runtime_app.gateway.watch import Receive
from runtime_app.governance.keys import KEY_FORM, hash_key
from venom_site.lib.access import Scope


def authenticated(header: bytes, snapshot: Snapshot) -> KeyEntry:
    """The key of `Authorization: Bearer venom_…`; raises `Refused` with 401."""
    scheme, _space, given = header.decode("latin-1").partition(" ")
    text = given.strip()
    if scheme.lower() != "bearer" or not KEY_FORM.fullmatch(text):
        raise _wrong_key(
            "Send a key of Venom as “Authorization: Bearer venom_…”. "
            "“manage.py create_api_key NAME --scope inference” makes one."
        )
    key = snapshot.keys.get(hash_key(text))
    if key is None or key.is_expired():
        raise _wrong_key("This key is unknown, expired or revoked.")
    return key


def check_scope(key: KeyEntry) -> None:
    """Raises `Refused` with 403 for a key that may not ask models."""
    if Scope.INFERENCE not in key.scopes:
        raise Refused(
            Refusal(
                status=403,
                code="scope_missing",
                message=f"This needs the scope “{Scope.INFERENCE}”, which the key "
                f"“{key.name}” does not have.",
            )
        )


async def read_body(receive: Receive, headers: dict[bytes, bytes]) -> bytes | None:
    """The whole body, or None when the client left; raises `Refused` with 413."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def not_ready() -> Refusal:
    return Refusal(
        status=503,
        code="not_ready",
        retryable=True,
        retry_after="1",
        message="Venom's database has not answered yet, so no key can be checked.",
    )


def _wrong_key(message: str) -> Refused:
    return Refused(Refusal(status=401, code="invalid_api_key", message=message))


def _too_large() -> Refused:
    return Refused(
        Refusal(
            status=413,
            code="payload_too_large",
            message=f"The body is larger than {MOST_BYTES >> 20} MiB.",
        )
    )
