"""The practice operation: works for N seconds in steps. Our own self-test.

It goes through everything a real operation does (claim, heartbeat, checkpoints,
pause, cancel, resume) and touches nothing but its own row.
"""

from __future__ import annotations

from datetime import datetime

from models_app.choices import OperationType
from models_app.models import Operation
from models_app.services.nodes import this_node
from models_app.services.operations import request_operation
from models_app.services.work import Work
from venom_site.lib.access import Principal
from venom_site.lib.errors import VenomError

SECONDS_AT_MOST = 600


class ProbeToldToFail(VenomError):
    code = "probe_told_to_fail"


def request_probe(
    seconds: int,
    *,
    actor: Principal,
    fail: bool = False,
    lock: str = "",
    not_before: datetime | None = None,
) -> Operation:
    """Start a self-test; probes with the same `lock` run one at a time, in order."""
    node = this_node()
    return request_operation(
        OperationType.PROBE,
        actor=actor,
        node=node,
        lock_key=f"{node.name}|probe|{lock}" if lock else "",
        params={"seconds": seconds, "fail": fail},
        not_before=not_before,
    )


def perform_probe(work: Work) -> None:
    """One step a second; a later claim goes on behind the last step kept."""
    steps = int(work.params["seconds"])
    first = int(work.operation.checkpoint.get("step", 0))
    if first:
        work.log(f"Resumed behind step {first}.")
    for step in range(first + 1, steps + 1):
        work.wait(1)
        if work.params.get("fail") and step > steps / 2:
            raise ProbeToldToFail("This self-test was told to fail half-way.")
        line = f"Step {step} of {steps}"
        work.report(progress=100 * step / steps, phase="working", message=line)
        work.checkpoint(step=step, line=f"{line}.")
