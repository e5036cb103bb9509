"""The acceptance run: a model is tried on its runtime, and what it did is evidence.

Only on demand. It holds the lock of the node's runtimes, so that nothing is switched
beneath it, and gives way as soon as somebody waits for that lock: a trial may be
repeated, a switch must not wait for one. What it proves drives the capabilities.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.choices import OperationType
from models_app.models import InstalledModel, Operation
from models_app.services import targets
from models_app.services.capabilities import note_probed
from models_app.services.operations import request_operation
from models_app.services.steps import Steps
from models_app.services.work import Work
from runtime_app.models import Runtime, Trial
from runtime_app.runtimes.registry import key_of
from runtime_app.services.activate import refuse_unable
from runtime_app.services.memory import runtime_for
from runtime_app.services.names_table import model_behind
from runtime_app.services.runtimes import (
    RuntimeOffline,
    errors_named,
    find_runtime,
    get_runtime,
    lacks,
    list_now,
    place,
    refuse_while_removed,
    runtime_of,
    served_name,
)
from runtime_app.services.trial_checks import CHECKS, PROVES, Limits, Outcome, tried
from venom_site.clients.trials import TrialClient
from venom_site.lib.access import Principal
from venom_site.lib.errors import (
    Conflict,
    ModelNotInstalled,
    NotFound,
    UpstreamFailed,
)
from venom_site.lib.names import is_model_name

EACH_SECONDS = 60
LOOK_EVERY_SECONDS = 1
KEPT = 10  # of one model on one runtime
NOT_TRIED = Outcome(ok=None, words="Not tried: it gave no first token.")


class TrialFailed(UpstreamFailed):
    """It gave no first token, so nothing else could be tried."""

    code = "trial_failed"


class GaveWay(Conflict):
    """Somebody waits to change the runtimes: the trial ended without a result."""

    code = "gave_way"


def request_trial(name: str, *, runtime: str = "", actor: Principal) -> Operation:
    """Write the operation; an open one of the same model is joined.

    404 for a name nobody can have, 409 `model_not_installed` where the runtime does
    not publish it and `incompatible_runtime` for what cannot chat.
    """
    if not is_model_name(name):
        raise NotFound(_("No model can be called “%(name)s”.") % {"name": name[:60]})
    row = find_runtime(runtime) if runtime else get_runtime(runtime_for(name))
    model = served_name(row, name)
    if model is None:
        raise ModelNotInstalled(lacks(row, name), runtime=row.name, model=name)
    refuse_unable(row, model)
    refuse_while_removed(row, model)
    return request_operation(
        OperationType.ACCEPT,
        actor=actor,
        node=row.node,
        target_key=targets.trial_target(row.node, row.name, model),
        lock_key=targets.runtimes_lock(row.node),
        provider=row.provider,
        runtime=row.name,
        model_name=model,
        params={"runtime_id": str(row.pk)},
    )


def latest_trial(runtime: Runtime, model: str) -> Trial | None:
    """The evidence that counts now: the newest."""
    return _trials(runtime, model).first()


def is_current(trial: Trial, runtime: Runtime) -> bool:
    """Whether it was of these very bytes on this very version of the server."""
    model = model_behind(runtime, trial.model_name)
    same_bytes = trial.revision == _revision_of(model)
    return same_bytes and trial.runtime_version == runtime.version


def _trials(runtime: Runtime, model: str) -> QuerySet[Trial]:
    rows = Trial.objects.filter(node_id=runtime.node_id, runtime=runtime.name)
    return rows.filter(model_name=model)


def _revision_of(model: InstalledModel | None) -> str:
    """What tells its bytes apart: a commit, else the digest."""
    return (model.revision or model.short_digest) if model else ""


# In the worker


def perform_trial(work: Work) -> None:
    """Try everything, keep what was seen, say what it proves. May run twice."""
    runtime, model = runtime_of(work), work.operation.model_name
    refuse_while_removed(runtime, model)
    with errors_named(model, runtime, RuntimeOffline):
        found = list_now(runtime).serves(model)
    if found is None:
        raise ModelNotInstalled(f"{place(runtime)} does not list the model {model}.")
    outcomes = _try_all(work, runtime, model)
    first = outcomes["first_token"]
    _keep(work, runtime, outcomes)
    if not first.ok:
        raise TrialFailed(f"{model} on {place(runtime)}: {first.words}")
    passed = sum(outcome.ok is True for outcome in outcomes.values())
    work.log(f"{model}: {passed} of {len(outcomes)} checks passed.")


def _try_all(work: Work, runtime: Runtime, model: str) -> dict[str, Outcome]:
    with errors_named(model, runtime, RuntimeOffline):
        key = key_of(runtime)
    check = _giving_way(work)
    client = TrialClient(runtime.openai_url, model, key=key, check=check)
    load_seconds = float(settings.ENV.VENOM_FIRST_BYTE_SECONDS_LOCAL)
    limits = Limits(first=load_seconds, each=min(EACH_SECONDS, load_seconds))
    steps, outcomes = Steps(work), dict.fromkeys(CHECKS, NOT_TRIED)
    for place_in_line, (name, try_it) in enumerate(CHECKS.items()):
        check()
        steps.enter(name, progress=100 * place_in_line / len(CHECKS))
        outcomes[name] = tried(try_it, client, limits)
        work.log(f"{name}: {outcomes[name].words}")
        if not outcomes["first_token"].ok:
            break
    else:
        steps.leave()
    return outcomes


def _giving_way(work: Work) -> Callable[[], None]:
    """The check of every wait; looks into the table once a second."""
    looked_at = float("-inf")

    def check() -> None:
        nonlocal looked_at
        work.check()
        if time.monotonic() - looked_at < LOOK_EVERY_SECONDS:
            return
        looked_at = time.monotonic()
        waiting = _who_waits(work.operation)
        if waiting is not None:
            raise GaveWay(
                f"It gave way to “{waiting.title}”. Try it again afterwards.",
                operation_id=str(waiting.pk),
            )

    return check


def _who_waits(operation: Operation) -> Operation | None:
    rows = Operation.objects.startable().filter(lock_key=operation.lock_key)
    return rows.exclude(operation_type=OperationType.ACCEPT).first()


def _keep(work: Work, runtime: Runtime, outcomes: dict[str, Outcome]) -> None:
    """One row for one operation, however often it ran; old ones go."""
    model = model_behind(runtime, work.operation.model_name)
    figures: dict[str, float] = {}
    for outcome in outcomes.values():
        figures |= outcome.figures
    version = Runtime.objects.values_list("version", flat=True).get(pk=runtime.pk)
    with transaction.atomic():
        Trial.objects.update_or_create(
            operation_id=work.operation.pk,
            defaults={
                "node": runtime.node,
                "installed_model": model,
                "runtime": runtime.name,
                "runtime_version": version,
                "model_name": work.operation.model_name,
                "revision": _revision_of(model),
                "ttft_seconds": figures.get("ttft_seconds"),
                "output_tokens_per_second": figures.get("output_tokens_per_second"),
                "checks": [each.kept(name) for name, each in outcomes.items()],
                "tried_at": timezone.now(),
            },
        )
        _forget_old(runtime, work.operation.model_name)
        if model is not None:
            note_probed(model, _proved(outcomes))


def _proved(outcomes: dict[str, Outcome]) -> dict[str, bool]:
    """Capabilities that are known now; what could not be tried says nothing."""
    found = {column: outcomes[name].ok for name, column in PROVES.items()}
    return {column: ok for column, ok in found.items() if ok is not None}


def _forget_old(runtime: Runtime, model: str) -> None:
    rows = _trials(runtime, model)
    kept = list(rows.values_list("pk", flat=True)[:KEPT])
    rows.exclude(pk__in=kept).delete()
