"""What tests of servers that we start ourselves share; fixtures lie beside it."""

from __future__ import annotations

import shlex
import socket
import sys

from models_app.models import Operation
from models_app.services import claims, operations
from runtime_app.models import Runtime
from runtime_app.services import server_operations, server_restart

MODEL = "acme/practice-7b"
PROGRAM = shlex.join([sys.executable, "-m", "tests.fakes.vllm_serve", "serve"])
PERFORM = {
    "start": server_operations.perform_start,
    "stop": server_operations.perform_stop,
    "restart": server_restart.perform_restart,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def carry_out(operation: Operation) -> Operation:
    claims.carry_out(operation.pk, PERFORM[operation.operation_type])
    return operations.get_operation(operation.pk)


def fresh(runtime: Runtime) -> Runtime:
    return Runtime.objects.select_related("node").get(pk=runtime.pk)
