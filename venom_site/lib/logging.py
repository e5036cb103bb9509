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

_SECRETS = re.compile(
    r"(?P<keep>(?:bearer|basic)\s+|(?:api[_-]?key|token|password|secret|passwd)"
    r"[\"']?\s*[=:]\s*[\"']?|://[^/\s:@]*:(?=[^\s/@]*@))(?P<secret>[^\s\"'&,;@]{4,})"
    r"|(?P<key>\b(?:venom_|sk-|hf_|AIza)[A-Za-z0-9_-]{8,})"
    r"|(?P<welcome>/welcome/)[A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)


def _masked(match: re.Match[str]) -> str:
    if match["key"]:
        return match["key"][:6] + "…"
    return (match["keep"] or match["welcome"]) + "…"


def without_secrets(text: str) -> str:
    """`text` with every credential-like part replaced by `…`."""
    return _SECRETS.sub(_masked, text)


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
        "loggers": {
            name: {"level": level}
            for name in ("venom_site", "models_app", "runtime_app", "history_app")
        }
        | {
            "django.request": {"level": "ERROR"},
            "celery": {"level": "WARNING"},
            "uvicorn": {"handlers": [], "level": "WARNING"},
        },
    }
