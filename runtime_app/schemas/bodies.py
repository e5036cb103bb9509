"""What callers send: bodies and queries of the JSON API.

Bodies are strict (a string is no number) and ignore fields they do not know.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, model_validator

from models_app.schemas.models import ProviderQuery
from runtime_app.choices import AlertView
from venom_site.env_types import RESERVED_SERVER_NAMES, SERVER_NAME, http_url
from venom_site.lib.secrets import looks_masked

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


class StartBody(WaitingBody):
    """POST `/system/llm-servers/{server}/start`; `model` for one that needs it."""

    model: ModelName | None = None


class EndBody(WaitingBody):
    """POST `/system/llm-servers/{server}/stop` and `/restart`; `when` is `now` or
    `idle`."""

    when: str = "now"


class NodeQuery(Schema):
    """`?node=`: the machine that is meant; without it the installation's default."""

    node: Annotated[str, Field(pattern=r"^[^\x00]{0,63}$")] = ""


class LogQuery(Schema):
    """GET `/system/llm-servers/{server}/logs`; `follow` is answered by a stream."""

    lines: Annotated[int, Field(ge=1, le=5000)] = 200
    follow: bool = False


class AlertQuery(Schema):
    """What the list of alerts may be asked for; without `state` all of them."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    state: AlertView | None = None
    cursor: str | None = None


class SilenceBody(StrictBody):
    """POST `/alerts/{id}/silence`."""

    hours: Annotated[float, Field(gt=0, le=168)] = 1
    reason: Annotated[str, Field(max_length=200)] = ""


class AddServerBody(StrictBody):
    name: Annotated[str, AfterValidator(server_name)]
    base_url: Annotated[str, AfterValidator(server_address)]
    key: Annotated[str, AfterValidator(server_key)] = ""


class NamedBody(WaitingBody):
    """A model by `name`; `model` is an alias of it."""

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


class SwitchBody(NamedBody):
    """POST `/models/switch`: on the runtime that is active now. `when` is `now` or
    `idle`, `relief` is `ask` or `auto`."""

    when: str = "now"
    relief: str = "ask"


class ActivateBody(SwitchBody):
    """POST `/models/activate`."""

    runtime: Annotated[str, Field(min_length=1, max_length=60)]
    revision: Annotated[str, Field(max_length=100)] | None = None


class MemoryBody(NamedBody):
    """POST `/models/unload`."""

    runtime: Annotated[str, Field(max_length=60)] | None = None


class TrialBody(WaitingBody):
    """POST `/models/{name}/trial`; `runtime` left out is where the model belongs."""

    runtime: Annotated[str, Field(max_length=60)] | None = None


class LoadBody(MemoryBody):
    """POST `/models/load`. `relief` is `ask` or `auto`."""

    relief: str = "ask"


class PinBody(MemoryBody):
    """POST `/models/pin`."""

    pinned: bool


class ParametersQuery(ProviderQuery):
    """Which runtime's values; left out, where the model or its provider belongs."""

    runtime: str = ""


class ParametersBody(StrictBody):
    """POST `/models/{name}/config`: the whole set. Values are judged by the service,
    which answers 400 and lists them all."""

    runtime: Annotated[str, Field(max_length=60)] | None = None
    params: dict[str, Any]


class ActiveServerBody(WaitingBody):
    """POST `/system/llm-servers/active`; `model` is an alias of `model_name`."""

    server_name: Annotated[str, Field(min_length=1, max_length=60)]
    model_name: ModelName | None = None
    model: ModelName | None = None
    when: str = "now"
    relief: str = "ask"

    @model_validator(mode="after")
    def _has_model(self) -> Self:
        if self.wanted == "":
            raise ValueError("give model_name")
        return self

    @property
    def wanted(self) -> str:
        return self.model_name or self.model or ""
