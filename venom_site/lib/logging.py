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


def _masked(match: re.Match[str]) -> str:
    if match["key"]:
        return match["key"][:6] + "…"
    return (match["login"] or match["named"] or match["welcome"]) + "…"


def without_secrets(text: str) -> str:
    """`text` with every credential-like part replaced by `…`."""
    return _SECRETS.sub(_masked, text)


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
            name: {"handlers": [], "propagate": True, "level": least}
            for name, least in FOREIGN.items()
        },
    }
