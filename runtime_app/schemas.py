"""The shapes in which runtimes enter and leave: one for API, events and pages.

Bodies are strict (a string is no number) and ignore fields they do not know. Output
shapes are plain dicts with the contract's names.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, model_validator

from runtime_app.models import Runtime
from venom_site.env import RESERVED_SERVER_NAMES, SERVER_NAME, http_url
from venom_site.lib.secrets import looks_masked
from venom_site.lib.units import iso

LONGEST_ADDRESS = 250
_KEY = re.compile(r"[\x21-\x7e]{1,500}")


def server_name(value: str) -> str:
    """A name for a server that somebody adds; raises ValueError saying why not."""
    if not SERVER_NAME.fullmatch(value):
        raise ValueError(
            "must be 1 to 40 small letters, digits, - or _; a letter or digit first"
        )
    if value in RESERVED_SERVER_NAMES:
        raise ValueError("is reserved; choose another name")
    return value


def server_address(value: str) -> str:
    """An OpenAI-compatible server's address; `/v1` is added where there is no path."""
    address = http_url(value.strip())
    if len(address) > LONGEST_ADDRESS or re.search(r"[\s?#\\]", address):
        raise ValueError("must be one address without spaces, ? and #")
    has_path = "/" in address.partition("://")[2]
    return address if has_path else f"{address}/v1"


def server_key(value: str) -> str:
    """The server's own key; empty for none."""
    if value and looks_masked(value):
        raise ValueError("is a masked key; enter the whole key")
    if value and not _KEY.fullmatch(value):
        raise ValueError("must be at most 500 printable characters without spaces")
    return value


class StrictBody(Schema):
    model_config = ConfigDict(strict=True)


class WaitingBody(StrictBody):
    """`wait_seconds` holds the answer until the work ends."""

    wait_seconds: Annotated[float, Field(ge=0, le=300)] = 0


ModelName = Annotated[str, Field(min_length=1, max_length=200)]


class AddServerBody(StrictBody):
    name: Annotated[str, AfterValidator(server_name)]
    base_url: Annotated[str, AfterValidator(server_address)]
    key: Annotated[str, AfterValidator(server_key)] = ""


class SwitchBody(WaitingBody):
    """POST `/models/switch`: on the runtime that is active now."""

    name: ModelName | None = None
    model: ModelName | None = None

    @model_validator(mode="after")
    def _has_name(self) -> Self:
        if self.wanted == "":
            raise ValueError("give the model's name")
        return self

    @property
    def wanted(self) -> str:
        return self.name or self.model or ""


class ActivateBody(SwitchBody):
    """POST `/models/activate`. `when` takes only `now` until idling is measured."""

    runtime: Annotated[str, Field(min_length=1, max_length=60)]
    when: str = "now"


class ActiveServerBody(WaitingBody):
    """POST `/system/llm-servers/active`; `model` is an alias of `model_name`."""

    server_name: Annotated[str, Field(min_length=1, max_length=60)]
    model_name: ModelName | None = None
    model: ModelName | None = None

    @model_validator(mode="after")
    def _has_model(self) -> Self:
        if self.wanted == "":
            raise ValueError("give model_name")
        return self

    @property
    def wanted(self) -> str:
        return self.model_name or self.model or ""


def server_payload(runtime: Runtime) -> dict[str, Any]:
    """A server as docs/api.md shows it; what is not measured yet is null."""
    return {
        "name": runtime.name,
        "display_name": runtime.display_name,
        "provider": runtime.provider,
        "endpoint": runtime.base_url,
        "health_url": health_url(runtime),
        "managed_by": runtime.managed_by,
        "supports": {"start": False, "stop": False, "restart": False},
        "status": runtime.status,
        "unstable": runtime.is_unstable,
        "recent_changes": runtime.flap_count,
        "latency_ms": runtime.latency_ms,
        "last_check": iso(runtime.last_check_at),
        "error_message": runtime.error_message or None,
        "pid": None,
        "memory_mb": None,
        "vram_mb": None,
        "uptime_seconds": None,
        "version": runtime.version or None,
        "loaded": [m["name"] for m in runtime.served_models if m.get("loaded")],
        "models": [m["name"] for m in runtime.served_models],
        "node": runtime.node.name,
    }


def health_url(runtime: Runtime) -> str:
    """What the health check asks first."""
    if runtime.openai_url == runtime.base_url:
        return f"{runtime.base_url}/models"
    return f"{runtime.base_url}/api/version"


def model_payload(
    runtime: Runtime, model: dict[str, Any], *, is_active: bool
) -> dict[str, Any]:
    """A served model as docs/api.md shows it; null where nobody has told us."""
    size = model.get("size_bytes")
    return {
        "name": model["name"],
        "display_name": model["name"],
        "provider": runtime.provider,
        "runtime": runtime.name,
        "type": None,
        "size_gb": None if size is None else round(size / 10**9, 2),
        "quantization": model.get("quantization") or None,
        "parameter_size": model.get("parameter_size") or None,
        "path": None,
        "source": None,
        "digest": model.get("digest") or None,
        "revision": None,
        "status": "installed",
        "active": is_active,
        "source_type": "local-runtime",
        "requires_gpu": None,
        "installed_at": None,
    }
