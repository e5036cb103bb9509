"""The shapes in which wishes to install arrive and half downloads leave."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from ninja import Schema
from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from models_app.models import Operation
from models_app.providers.base import HalfModel
from models_app.schemas.operations import StartTime, WaitSeconds
from venom_site.lib.names import model_name

ModelName = Annotated[StrictStr, AfterValidator(model_name)]
Word = Annotated[StrictStr, Field(max_length=100)]


class InstallIn(Schema):
    """`model` and `name` mean the same; one of them is needed."""

    provider: Word = Field(description="ollama, huggingface or hf")
    model: ModelName | None = None
    name: ModelName | None = None
    runtime: Word | None = Field(None, description="Default: the provider's own.")
    revision: Word | None = None
    confirm_large: StrictBool = False
    activate: Literal["no", "now", "idle"] = "no"
    not_before: StartTime | None = None
    wait_seconds: WaitSeconds = Field(
        default=0, description="Hold the answer until it ends, at most so long."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if not self.model and not self.name:
            raise ValueError("model: give the model's name")
        if self.model and self.name and self.model != self.name:
            raise ValueError("model and name differ: give one of them")
        return self

    @property
    def wanted(self) -> str:
        return self.model or self.name or ""


class DiscardIn(Schema):
    """Which half download to discard; without one, all that nobody fetches now."""

    operation_id: Annotated[StrictStr, Field(max_length=60)] | None = None


class PartialOut(Schema):
    """Without an operation where nobody knows any more who began it."""

    operation_id: str | None
    model_name: str
    provider: str
    bytes_done: int
    bytes_total: int | None


class PartialList(Schema):
    success: bool = True
    partials: list[PartialOut]


class Discarded(Schema):
    success: bool = True
    discarded: list[str] = Field(description="The operations that were discarded.")


def partial_payload(
    operation: Operation, half: HalfModel | None = None
) -> dict[str, Any]:
    """The fields of `PartialOut`; what lies on our disk counts before what was told."""
    told = operation.bytes_done or 0
    return {
        "operation_id": str(operation.pk),
        "model_name": operation.model_name,
        "provider": operation.provider,
        "bytes_done": half.size_bytes if half else told,
        "bytes_total": operation.bytes_total,
    }


def half_payload(provider: str, half: HalfModel) -> dict[str, Any]:
    return {
        "operation_id": None,
        "model_name": half.name,
        "provider": provider,
        "bytes_done": half.size_bytes,
        "bytes_total": None,
    }
