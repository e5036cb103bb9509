"""Secrets at rest and on screen: generated keys, Fernet encryption, masks.

`encrypt`/`decrypt` use the first, respectively any, key of VENOM_ENCRYPTION_KEYS.
`mask` is the only way a secret may be shown; `looks_masked` refuses a mask that
somebody pastes back over the real value.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

MASK = "…"


class Undecryptable(Exception):
    """None of the configured keys opens this value."""


def stored_secret(path: Path, generate: str) -> str:
    """Read `path`, or write `generate` there (0600) if nobody has done so before.

    Two processes starting at once agree: the file is linked into place, and whoever
    comes second reads the first one's.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(generate + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_text(encoding="ascii").strip()


@lru_cache(maxsize=4)
def _fernet(keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])


def encrypt(text: str) -> str:
    return _fernet(settings.ENCRYPTION_KEYS).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """The text behind `token`; raises `Undecryptable` when no key opens it."""
    try:
        return _fernet(settings.ENCRYPTION_KEYS).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Undecryptable from error


def mask(secret: str) -> str:
    """`sk-1…9f2a`; a short secret shows nothing of itself."""
    if len(secret) < 16:
        return MASK if secret else ""
    return f"{secret[:4]}{MASK}{secret[-4:]}"


def looks_masked(text: str) -> bool:
    return MASK in text or set(text) <= {"*", "•"} != set()
