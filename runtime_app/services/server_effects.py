"""What starting, stopping or restarting a server does to others, before anybody asks.

Read from rows only. Pages show it beside the button; nothing is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from models_app.choices import PROVIDER_RUNTIMES, OperationStatus, OperationType
from models_app.models import Operation
from models_app.services.targets import runtimes_lock
from runtime_app.choices import ManagedBy
from runtime_app.models import Activation, Runtime
from runtime_app.runtimes.controls import ExternalControl, control_for
from runtime_app.services.drain import in_flight

STARTS_LOOKED_AT = 5
OPERATIONS_READ = 20  # an activation that started nothing says nothing
_STARTS = (OperationType.START, OperationType.RESTART, OperationType.ACTIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """`requests` run on it now; `downloads` are half models that the server itself
    fetches and may lose; `seconds` is how long the last starts took, the middle one
    of `starts`, None without one. `holder` is the operation that goes first, `blocked`
    says why Venom may not do it at all."""

    requests: int
    active_model: str
    loaded: list[str]
    downloads: list[Operation] = field(default_factory=list)
    seconds: float | None = None
    starts: int = 0
    holder: Operation | None = None
    blocked: str = ""

    @property
    def is_harmless(self) -> bool:
        return not (self.requests or self.active_model or self.loaded or self.downloads)


def effects_on(runtime: Runtime) -> Effects:
    """Of ending the server of this row now."""
    active = Activation.objects.active().filter(runtime=runtime).first()
    seconds = _start_seconds(runtime)
    return Effects(
        requests=in_flight(runtime.name, ""),
        active_model=active.model_name if active else "",
        loaded=[str(entry["name"]) for entry in runtime.loaded_models],
        downloads=_downloads(runtime),
        seconds=median(seconds) if seconds else None,
        starts=len(seconds),
        holder=_holder(runtime),
        blocked=_blocked(runtime),
    )


def _blocked(runtime: Runtime) -> str:
    if runtime.managed_by != ManagedBy.EXTERNAL:
        return ""
    control = control_for(runtime)
    return control.why if isinstance(control, ExternalControl) else ""


def _start_seconds(runtime: Runtime) -> list[float]:
    """Of the last starts, whoever asked for them: an activation starts servers too."""
    done = Operation.objects.filter(
        operation_type__in=_STARTS,
        status=OperationStatus.COMPLETED,
        runtime=runtime.name,
        node_id=runtime.node_id,
    ).newest_first()
    taken = (_seconds_of(operation) for operation in done[:OPERATIONS_READ])
    return [seconds for seconds in taken if seconds is not None][:STARTS_LOOKED_AT]


def _seconds_of(operation: Operation) -> float | None:
    """From the start to the first answer; None where nothing was started."""
    steps = operation.checkpoint.get("steps") or {}
    if "starting" in steps:
        return float(steps["starting"])
    is_start = operation.operation_type != OperationType.ACTIVATE
    return operation.duration_seconds if is_start else None


def _downloads(runtime: Runtime) -> list[Operation]:
    """Only Ollama fetches for itself, and prunes halves when it starts; what we fetch
    goes on beside a server."""
    if PROVIDER_RUNTIMES.get("ollama") != runtime.kind:
        return []
    installs = Operation.objects.open().filter(
        operation_type=OperationType.INSTALL,
        provider="ollama",
        node_id=runtime.node_id,
    )
    return [each for each in installs if each.is_running or each.bytes_done]


def _holder(runtime: Runtime) -> Operation | None:
    lock = runtimes_lock(runtime.node)
    return Operation.objects.running().filter(lock_key=lock).first()
