"""What a model can do, as it leaves and as people set it by hand.

One for API, pages and the Python interface. null means that nobody knows.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from models_app.models import Capabilities, InstalledModel

ROLES = ("system", "user", "assistant", "tool")
LONGEST_TEMPLATE = 20_000
LONGEST_CONTEXT = 2**31 - 1


class CapabilitiesOut(Schema):
    """null where nobody knows; lengths in tokens. `sources` says who said each."""

    supports_chat: bool | None
    supports_embedding: bool | None
    supports_system_role: bool | None
    supports_function_calling: bool | None
    supports_vision: bool | None
    supports_thinking: bool | None
    allowed_roles: list[str]
    prompt_template: str | None
    max_context_length: int | None
    quantization: str | None
    source: str | None
    sources: dict[str, str]


class CapabilitiesAnswer(Schema):
    success: bool = True
    model_name: str
    capabilities: CapabilitiesOut


def _known_roles(roles: list[str]) -> list[str]:
    if unknown := [role for role in roles if role not in ROLES]:
        raise ValueError(f"{unknown[0][:20]!r} is no role; use {', '.join(ROLES)}")
    if roles and "user" not in roles:
        raise ValueError("must hold user: without it nobody could ask anything")
    return [role for role in ROLES if role in roles]


def _with_message(template: str) -> str:
    if template and "{message}" not in template:
        raise ValueError("must hold {message}, where the question goes")
    if "\0" in template:
        raise ValueError("must be text")
    return template


Roles = Annotated[list[str], Field(max_length=20), AfterValidator(_known_roles)]
Template = Annotated[
    str, Field(max_length=LONGEST_TEMPLATE), AfterValidator(_with_message)
]


class CapabilitiesBody(Schema):
    """PUT `/models/{name}/capabilities`: what is given changes, the rest stays.

    null means that nobody knows. `source` is not taken: it becomes `manual`.
    """

    model_config = ConfigDict(strict=True)

    supports_chat: bool | None = None
    supports_embedding: bool | None = None
    supports_system_role: bool | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    supports_thinking: bool | None = None
    allowed_roles: Roles = []
    prompt_template: Template = ""
    max_context_length: Annotated[int, Field(ge=1, le=LONGEST_CONTEXT)] | None = None
    quantization: Annotated[str, Field(max_length=40)] | None = None

    @model_validator(mode="after")
    def _roles_agree(self) -> Self:
        if self.supports_system_role is False and "system" in self.allowed_roles:
            raise ValueError(
                "allowed_roles holds system, but supports_system_role is false"
            )
        return self

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


def capabilities_payload(
    model: InstalledModel, known: Capabilities | None
) -> dict[str, Any]:
    """What it can do; with nobody's word on it all is null and so is `source`."""
    said = known or Capabilities(source="")
    return {
        "supports_chat": said.supports_chat,
        "supports_embedding": said.supports_embedding,
        "supports_system_role": said.supports_system_role,
        "supports_function_calling": said.supports_function_calling,
        "supports_vision": said.supports_vision,
        "supports_thinking": said.supports_thinking,
        "allowed_roles": said.allowed_roles,
        "prompt_template": said.prompt_template or None,
        "max_context_length": model.context_length,
        "quantization": model.quantization or None,
        "source": said.source or None,
        "sources": sources_of(model, said),
    }


# What a provider calls two of them (`Description`).
_DESCRIBED = {"max_context_length": "context_length", "prompt_template": "template"}


def sources_of(model: InstalledModel, said: Capabilities) -> dict[str, str]:
    """Who said what is known, by the names of the API; rows of earlier releases have
    one source for all."""
    known = {
        "supports_chat": said.supports_chat,
        "supports_embedding": said.supports_embedding,
        "supports_system_role": said.supports_system_role,
        "supports_function_calling": said.supports_function_calling,
        "supports_vision": said.supports_vision,
        "supports_thinking": said.supports_thinking,
        "allowed_roles": said.allowed_roles or None,
        "prompt_template": said.prompt_template or None,
        "max_context_length": model.context_length,
        "quantization": model.quantization or None,
    }
    told = said.sources if isinstance(said.sources, dict) else {}
    sources = {
        name: told.get(name) or told.get(_DESCRIBED.get(name, name)) or said.source
        for name, value in known.items()
        if value is not None
    }
    return {name: source for name, source in sources.items() if source}
