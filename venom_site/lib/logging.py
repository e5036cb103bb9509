"""Log records that say which request or operation they belong to, and no secrets.

`RequestIdFilter` adds `request_id` and `operation_id`; `MaskingFormatter` removes
anything that looks like a credential from the finished line, tracebacks included.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
operation_id: ContextVar[str] = ContextVar("operation_id", default="-")
# The door through which the present call came: page, api, admin, cli, worker.
channel: ContextVar[str] = ContextVar("audit_channel", default="worker")

# A URL's password may hold any of the other stops, so it has a branch of its own; it
# asks for the `@`, or every port would be taken for a password.
_SECRETS = re.compile(
    r"(?P<login>://[^/\s:@]*:)[^\s/]*(?=@)"
    r"|(?P<named>\b(?:bearer|basic)\s+|(?:api[_-]?key|token|password|secret|passwd"
    r"|venom_session|venom_csrf)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;@]{4,}"
    r"|(?P<key>\b(?:venom_|sk-|hf_|AIza)[A-Za-z0-9_-]{8,})"
    r"|(?P<welcome>/welcome/)[A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)

# What the pattern finds begins with one of these or with a login in an address. To look
# for them first costs a twentieth of the pattern (measured: 92 µs for 500 characters);
# as bytes, because folding the case of other letters than ASCII's costs half of that.
_MARKS = (b"venom_", b"sk-", b"hf_", b"aiza", b"bearer", b"basic", b"/welcome/")
_NAMES = (
    *(b"token", b"secret", b"password", b"passwd"),
    *(b"api_key", b"api-key", b"apikey"),
)
# Also as JSON escapes it, for texts that are looked at before they are unpacked.
_VALUE_FOLLOWS = re.compile(rb"[\s\"'\\nrtu0-9a-f\x80-\xff]*[=:]")


def may_hold_secrets(text: str) -> bool:
    """False when `without_secrets` would change nothing; true is only a suspicion."""
    plain = text.encode("utf-8", "surrogatepass").lower()
    if b"://" in plain and b"@" in plain:
        return True
    if any([mark in plain for mark in _MARKS]):  # noqa: C419 - a list is twice as fast
        return True
    named = [name for name in _NAMES if name in plain]
    return any(_is_given(name, plain) for name in named)


def _is_given(name: bytes, plain: bytes) -> bool:
    place = plain.find(name)
    while place >= 0:
        if _VALUE_FOLLOWS.match(plain, place + len(name)):
            return True
        place = plain.find(name, place + 1)
    return False


def _masked(match: re.Match[str]) -> str:
    if match["key"]:
        return match["key"][:6] + "…"
    return (match["login"] or match["named"] or match["welcome"]) + "…"


def without_secrets(text: str) -> str:
    """`text` with every credential-like part replaced by `…`."""
    return _SECRETS.sub(_masked, text) if may_hold_secrets(text) else text


OWN = ("venom_site", "models_app", "runtime_app", "history_app")

# Servers and Django bring handlers that write unmasked lines (a request line may hold
# a sign-in link): they are taken away, and what is worth reading goes to ours.
# `django.request` repeats what lib/problems.py has already logged.
FOREIGN = {
    "django": "WARNING",
    "django.server": "WARNING",
    "django.request": "CRITICAL",
    "django.channels.server": "WARNING",
    "daphne": "WARNING",
    "celery": "WARNING",
    "uvicorn": "WARNING",
    "uvicorn.error": "WARNING",
    "uvicorn.access": "ERROR",
}
# uvicorn puts a line together for each answer as long as somebody could hear it.
UNHEARD = frozenset({"uvicorn.access"})


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.operation_id = operation_id.get()
        return True


class MaskingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def configuration(*, level: str = "INFO") -> dict[str, object]:
    """The `LOGGING` setting: one handler on stderr, masked, with both ids."""
    line = (
        "{asctime} {levelname:<7} {name} {message} "
        "[request={request_id} operation={operation_id}]"
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"ids": {"()": RequestIdFilter}},
        "formatters": {"line": {"()": MaskingFormatter, "format": line, "style": "{"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "filters": ["ids"],
                "formatter": "line",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name in OWN}
        | {
            name: {"handlers": [], "propagate": name not in UNHEARD, "level": least}
            for name, least in FOREIGN.items()
        },
    }
