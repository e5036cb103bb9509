"""The shapes in which `POST /models/prepare` asks and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ninja import Schema
from pydantic import Field, StrictBool, StrictStr

from models_app.schemas.models import NamedBody
from models_app.schemas.operations import WaitSeconds

if TYPE_CHECKING:
    from models_app.services.prepare import Preparation

Word = Annotated[StrictStr, Field(max_length=60)]


class PrepareBody(NamedBody):
    """`dtype` and `quantization` as vLLM's options of these names; empty or absent
    for what is set or stored. `revision` is one of several installed versions;
    `apply` starts the conversion where the action is `convert`."""

    runtime: Word
    dtype: Word | None = None
    quantization: Word | None = None
    revision: Annotated[StrictStr, Field(max_length=100)] | None = None
    apply: StrictBool = False
    wait_seconds: WaitSeconds = 0


class CheckOut(Schema):
    """`ok` is false only where `verdict` is `refused`; `warning` does not stop it."""

    name: str
    ok: bool
    verdict: Literal["ok", "warning", "refused"]
    message: str
    remedy: str


class PrepareAnswer(Schema):
    success: bool = True
    checks: list[CheckOut]
    fit: dict[str, Any]
    action: str
    plan: list[str]
    effects: list[str]


def preparation_payload(found: Preparation, fit: dict[str, Any]) -> dict[str, Any]:
    """`fit` as `services.fit.fit_payload` shapes it."""
    return {
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "verdict": check.verdict,
                "message": check.message,
                "remedy": check.remedy,
            }
            for check in found.checks
        ],
        "fit": fit,
        "action": found.action,
        "plan": list(found.plan),
        "effects": list(found.effects),
    }
