"""Runtimes as people and programs name them: find one, add one, ask one.

Adding writes only the row; whoever calls asks the health check to look at it. What the
work of memory and activation share (names, sentences about failures) stands here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from history_app import audit
from models_app.choices import PROVIDER_RUNTIMES, OperationType
from models_app.models import InstalledModel, Operation
from models_app.services.nodes import this_node
from models_app.services.work import Work
from runtime_app.choices import PROFILE_KINDS, RuntimeKind
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from runtime_app.runtimes.registry import adapter_for
from venom_site.lib import secrets
from venom_site.lib.access import Principal
from venom_site.lib.errors import (
    Conflict,
    NotFound,
    OperationConflict,
    OutsideProfile,
    UpstreamFailed,
    VenomError,
    WireError,
)


class UnknownRuntime(VenomError):
    """A body names a runtime that does not exist; in a path that is 404."""

    code = "unknown_runtime"
    http_status = 422


class NameTaken(Conflict):
    code = "name_taken"


class RuntimeOffline(UpstreamFailed):
    """It could not be asked, or what it said could not be used."""

    code = "runtime_offline"


def find_runtime(name: str) -> Runtime:
    """The runtime that a body names: 422 unknown, 403 outside the profile."""
    row = _row(name)
    if row is None and name not in RuntimeKind.values:
        raise UnknownRuntime(
            _("There is no runtime called “%(name)s”.") % {"name": name}
        )
    kind = row.kind if row else name
    if kind not in PROFILE_KINDS[settings.RUNTIME_PROFILE]:
        raise outside_profile(name, kind)
    if row is None:
        raise UnknownRuntime(_("“%(name)s” is not set up yet.") % {"name": name})
    return row


def get_runtime(name: str) -> Runtime:
    """The runtime at an address of a page or call: 404, or 403 outside the profile."""
    try:
        return find_runtime(name)
    except UnknownRuntime as error:
        raise NotFound(error.message) from None


def _row(name: str) -> Runtime | None:
    """This node's before another node's of the same name."""
    rows = list(Runtime.objects.filter(name=name).select_related("node"))
    rows.sort(key=lambda row: row.node.name != settings.NODE)
    return rows[0] if rows else None


def outside_profile(name: str, kind: str) -> OutsideProfile:
    """The refusal that names the profiles which have this kind."""
    having = sorted(p for p, kinds in PROFILE_KINDS.items() if kind in kinds)
    return OutsideProfile(
        _("“%(name)s” is outside the profile %(profile)s; it is in %(having)s.")
        % {
            "name": name,
            "profile": settings.RUNTIME_PROFILE,
            "having": ", ".join(having),
        },
        profile=settings.RUNTIME_PROFILE,
        profiles_with_it=having,
    )


def add_server(name: str, base_url: str, key: str, *, actor: Principal) -> Runtime:
    """A new OpenAI-compatible server; the values have passed `schemas` already."""
    kind = RuntimeKind.OPENAI_COMPATIBLE
    if kind not in PROFILE_KINDS[settings.RUNTIME_PROFILE]:
        raise outside_profile(name, kind)
    row = Runtime(
        node=this_node(),
        name=name,
        display_name=name,
        kind=kind,
        base_url=base_url,
        encrypted_key=secrets.encrypt(key) if key else "",
    )
    row.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _record_added(actor, row, has_key=bool(key))
            bump_policy()
    except IntegrityError:
        raise NameTaken(
            _("A server called “%(name)s” exists.") % {"name": name}
        ) from None
    return row


def _record_added(actor: Principal, row: Runtime, *, has_key: bool) -> None:
    after = {"base_url": row.base_url, "kind": row.kind, "has_key": has_key}
    audit.record(
        actor, "runtime.add", "runtime", row.pk, object_name=row.name, after=after
    )


def place(runtime: Runtime) -> str:
    return f"{runtime.display_name} at {runtime.base_url}"


def list_now(runtime: Runtime) -> Runtime:
    """The row with what the server itself lists now; raises `WireError`."""
    runtime.served_models = adapter_for(runtime).list_models()
    return runtime


def served_name(runtime: Runtime, model: str) -> str | None:
    """The server's own name for `model`, asking it when the last check had none.

    None when the server says that it has none; `RuntimeOffline` when it says nothing.
    """
    found = runtime.serves(model)
    if found is None:
        try:
            found = list_now(runtime).serves(model)
        except WireError as error:
            raise RuntimeOffline(
                _(
                    "%(runtime)s could not be asked whether it has “%(model)s”: "
                    "%(reason)s"
                )
                % {
                    "runtime": runtime.display_name,
                    "model": model,
                    "reason": error,
                },
                runtime=runtime.name,
            ) from error
    return None if found is None else str(found["name"])


def lacks(runtime: Runtime, model: str) -> str:
    """The sentence for a model that `served_name` did not find, and where it lies when
    its server has to be started with its folder."""
    words = {
        "runtime": runtime.display_name,
        "endpoint": runtime.base_url,
        "model": model,
    }
    told = _("%(runtime)s at %(endpoint)s does not have the model “%(model)s”.") % words
    rows = InstalledModel.objects.filter(node_id=runtime.node_id).named(model)
    held = rows.filter(provider__in=providers_of(runtime)).exclude(path="").first()
    if held is None:
        return told
    words["folder"] = held.path
    remedy = _("Start %(runtime)s with its folder: %(folder)s.") % words
    return f"{told} {remedy}"


def providers_of(runtime: Runtime) -> list[str]:
    """The providers that deliver to this runtime; none for servers added by hand."""
    return [p for p, name in PROVIDER_RUNTIMES.items() if name == runtime.name]


def installed_on(
    runtime: Runtime, model: str, revision: str = ""
) -> InstalledModel | None:
    """The registered model behind a name that this runtime serves; of several
    revisions the one that is given, else the active, else the newest."""
    rows = InstalledModel.objects.named(model).filter(
        node_id=runtime.node_id, provider__in=providers_of(runtime)
    )
    rows = rows.of_revision(revision).in_version_order()
    return rows.select_related("node", "capabilities").first()


def refuse_while_removed(runtime: Runtime, model: str) -> None:
    """Nobody loads or activates what is just being deleted."""
    removals = Operation.objects.open().filter(
        operation_type=OperationType.REMOVE, node_id=runtime.node_id
    )
    removal = removals.filter(model_name__iexact=model).first()
    if removal is not None:
        raise OperationConflict(
            _("“%(model)s” is being removed. Cancel that first.") % {"model": model},
            operation_id=str(removal.pk),
        )


# In the worker


def runtime_of(work: Work) -> Runtime:
    """The row that the operation means: by id, or by name on the operation's node."""
    rows = Runtime.objects.of_profile().select_related("node")
    pk, operation = work.params.get("runtime_id"), work.operation
    by_name = {"name": operation.runtime, "node_id": operation.node_id}
    found = rows.filter(**({"pk": pk} if pk else by_name)).first()
    if found is None:
        raise RuntimeOffline(f"The runtime {operation.runtime} is no longer there.")
    return found


@contextmanager
def errors_named(
    model: str, runtime: Runtime, kind: type[VenomError]
) -> Iterator[None]:
    """A failure of the wire as a sentence naming model, runtime and endpoint."""
    try:
        yield
    except WireError as error:
        raise kind(f"{model} on {place(runtime)}: {error}") from error
