"""What tests of activations across servers share; fixtures lie beside it."""

from __future__ import annotations

import socket
from contextlib import suppress

import psutil

from models_app.models import Operation
from models_app.services import claims, operations
from runtime_app.models import Runtime
from runtime_app.services import activate, activating


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh(runtime: Runtime) -> Runtime:
    return Runtime.objects.select_related("node").get(pk=runtime.pk)


def carry_out(operation: Operation) -> Operation:
    claims.carry_out(operation.pk, activating.perform_activation)
    return operations.get_operation(operation.pk)


def activated(runtime: Runtime, model: str, actor, **how) -> Operation:
    operation = activate.request_activation(runtime.name, model, actor=actor, **how)
    return carry_out(operation)


def log_of(operation: Operation) -> str:
    return "\n".join(line.line for line in operation.lines.all())


def living() -> list[psutil.Process]:
    """Every practice vLLM and engine that this process has left running."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            is_gone = process.status() == psutil.STATUS_ZOMBIE
            if not is_gone and "vllm" in " ".join(process.cmdline()):
                found.append(process)
    return found
