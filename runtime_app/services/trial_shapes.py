"""A trial as the API shows it, and as a model's page does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from models_app.choices import OperationType
from models_app.models import Operation
from runtime_app.models import Runtime, Trial
from runtime_app.services.trial_checks import CHECKS
from runtime_app.services.trials import is_current, latest_trial
from venom_site.lib.units import iso


def trial_payload(trial: Trial, runtime: Runtime) -> dict[str, Any]:
    """`is_current` is false once the bytes or the server's version are others."""
    age = (timezone.now() - trial.tried_at).total_seconds()
    ttft = trial.ttft_seconds
    return {
        "runtime_version": trial.runtime_version or None,
        "revision": trial.revision or None,
        "ttft_ms": None if ttft is None else round(ttft * 1000, 1),
        "output_tokens_per_second": trial.output_tokens_per_second,
        "checks": trial.checks,
        "tried_at": iso(trial.tried_at),
        "age_seconds": round(max(0.0, age)),
        "is_current": is_current(trial, runtime),
        "operation_id": str(trial.operation_id) if trial.operation_id else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The card of one model: its newest trial, if any, and the run that is open."""

    runtime: Runtime
    model: str
    trial: Trial | None
    is_current: bool
    operation: Operation | None
    can_try: bool

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Only those that this release knows, in their order."""
        kept = self.trial.checks if self.trial else []
        by_name = {each.get("name"): each for each in kept if isinstance(each, dict)}
        return [by_name[name] for name in CHECKS if name in by_name]


def evidence_of(runtime: Runtime, model: str) -> Evidence:
    trial = latest_trial(runtime, model)
    work = Operation.objects.open().filter(
        operation_type=OperationType.ACCEPT,
        node_id=runtime.node_id,
        runtime=runtime.name,
        model_name=model,
    )
    return Evidence(
        runtime=runtime,
        model=model,
        trial=trial,
        is_current=trial is not None and is_current(trial, runtime),
        operation=work.first(),
        can_try=runtime.serves(model) is not None,
    )
