"""How a runtime comes to answer with a model: by its list, or by a start of ours.

`way_to` says it for a wish, a plan and the work alike, and refuses what no way leads
to. It asks the server and the control; it changes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from models_app.choices import PROVIDER_RUNTIMES, VERSIONED_PROVIDERS, ModelStatus
from models_app.models import InstalledModel
from models_app.services import registry
from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.models import Runtime
from runtime_app.runtimes.control import Launch
from runtime_app.runtimes.controls import ALIVE, ExternalControl, control_for
from runtime_app.runtimes.launches import launch_for
from runtime_app.services.runtimes import (
    RuntimeOffline,
    installed_on,
    lacks,
    providers_of,
    served_name,
)
from runtime_app.services.server_work import ours_or_refused
from venom_site.lib.errors import (
    Conflict,
    IncompatibleRuntime,
    ModelNotInstalled,
    NotFound,
)

_UP = frozenset({RuntimeStatus.ONLINE, RuntimeStatus.DEGRADED})
_STARTS = frozenset({"start", "restart"})


class ModelBroken(Conflict):
    """Its files are not whole; a new install repairs them."""

    code = "model_broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`served` is the name that the server's list must carry. `launch` is None where
    the server runs and lists it; else the server is started with it, and stopped
    before where it `is_up`. `installed` is None where no row knows the model."""

    name: str
    served: str
    installed: InstalledModel | None = None
    launch: Launch | None = None
    is_up: bool = True

    @property
    def starts(self) -> bool:
        return self.launch is not None

    @property
    def restarts(self) -> bool:
        return self.starts and self.is_up

    @property
    def root(self) -> str:
        """The folder that the server must say it serves; empty where none is known."""
        return self.launch.model if self.launch else ""


def way_to(runtime: Runtime, model: str, revision: str = "") -> Way:
    """Raises what a person can act on: `incompatible_runtime`, `several_revisions`,
    `model_not_installed`, `model_broken`, `not_ours`, or what `launch_for` lacks."""
    _refuse_another_format(runtime, model)
    version = _version(runtime, model, revision) if revision else None
    if runtime.kind == RuntimeKind.VLLM and can_start(runtime):
        return _by_process(runtime, model, version)
    try:
        served = served_name(runtime, model) if _may_answer(runtime) else None
    except RuntimeOffline as error:
        if not can_start(runtime):
            raise _unstartable(runtime, error) from error
        served = None
    if served is not None:
        found = version or installed_on(runtime, served)
        return Way(name=served, served=served, installed=found)
    if can_start(runtime) and runtime.status not in _UP:
        return _by_start(runtime, model)
    raise ModelNotInstalled(lacks(runtime, model), runtime=runtime.name, model=model)


def _unstartable(runtime: Runtime, error: RuntimeOffline) -> RuntimeOffline:
    """The same with why this node cannot start that server."""
    control = control_for(runtime)
    why = control.why if isinstance(control, ExternalControl) else ""
    return RuntimeOffline(f"{error} {why}".strip(), **error.extras)


def can_start(runtime: Runtime) -> bool:
    """Whether this node may start the server of that row."""
    return bool(_STARTS & control_for(runtime).supports)


def can_stop(runtime: Runtime) -> bool:
    return "stop" in control_for(runtime).supports


def _may_answer(runtime: Runtime) -> bool:
    """One that is known to be stopped and that we may start is not asked."""
    stopped = runtime.status in (RuntimeStatus.OFFLINE, RuntimeStatus.STOPPING)
    return not (stopped and can_start(runtime))


def _refuse_another_format(runtime: Runtime, model: str) -> None:
    """What a provider delivers runs on its own runtime and on no other."""
    own = providers_of(runtime)
    if not own or runtime.serves(model):
        return
    rows = InstalledModel.objects.filter(node_id=runtime.node_id).named(model)
    held = list(rows.values_list("provider", flat=True))
    if not held or set(held) & set(own):
        return
    belongs = PROVIDER_RUNTIMES[held[0]]
    raise IncompatibleRuntime(
        _(
            "“%(model)s” is in the format of %(belongs)s and cannot run on "
            "%(runtime)s. Activate it on %(belongs)s."
        )
        % {"model": model, "belongs": belongs, "runtime": runtime.display_name},
        runtime=runtime.name,
        model=model,
        runs_on=belongs,
    )


def _version(runtime: Runtime, model: str, revision: str) -> InstalledModel:
    """The installed version that was asked for; one of several must be named whole."""
    providers = [p for p in providers_of(runtime) if p in VERSIONED_PROVIDERS]
    if not providers:
        raise IncompatibleRuntime(
            _(
                "%(runtime)s keeps one version of a name: a revision cannot be chosen "
                "there. Leave it out."
            )
            % {"runtime": runtime.display_name},
            runtime=runtime.name,
            model=model,
        )
    try:
        return registry.only_version(model, providers[0], revision)
    except NotFound as error:
        raise ModelNotInstalled(
            str(error), runtime=runtime.name, model=model, revision=revision
        ) from None


def _by_process(runtime: Runtime, model: str, version: InstalledModel | None) -> Way:
    """A server with one model for each process of ours: what it lists is proved by the
    folder it names; anything else is a start."""
    seen = control_for(runtime).look()
    is_up = seen.state in ALIVE
    if seen.holder is not None and not is_up:
        return _by_adopted(runtime, model, version)
    listed = _listed(runtime, model) if is_up else None
    installed = version or _installed(runtime, model, needed=listed is None)
    if installed is None:
        return Way(name=model, served=model)
    _refuse_broken(installed)
    launch = launch_for(runtime, installed)
    listed = _listed(runtime, launch.served_name) if is_up else None
    is_there = listed is not None and _is_folder(listed, launch.model)
    return Way(
        name=installed.name,
        served=launch.served_name,
        installed=installed,
        launch=None if is_there else launch,
        is_up=is_up,
    )


def _by_adopted(runtime: Runtime, model: str, version: InstalledModel | None) -> Way:
    """Somebody else's server on our port answers with what it lists, and that is all;
    the refusal names its owner."""
    try:
        served = served_name(runtime, model)
    except RuntimeOffline:
        served = None
    if served is None:
        ours_or_refused(runtime)
    return Way(
        name=model, served=model, installed=version or installed_on(runtime, model)
    )


def _installed(runtime: Runtime, model: str, *, needed: bool) -> InstalledModel | None:
    """The one version that is active or alone; 409 with all of them where it would
    have to be guessed. None where none is here and none is needed."""
    if (known := _known_version(runtime, model)) is not None:
        return known
    for provider in providers_of(runtime):
        with suppress(NotFound):
            return registry.only_version(model, provider)
    if not needed:
        return None
    raise ModelNotInstalled(
        _(
            "“%(model)s” is not installed here, so %(runtime)s cannot be started with "
            "it. Install it first."
        )
        % {"model": model, "runtime": runtime.display_name},
        runtime=runtime.name,
        model=model,
    )


def _known_version(runtime: Runtime, model: str) -> InstalledModel | None:
    """Of several revisions the one whose folder the server names, else the active."""
    root = str((_listed(runtime, model) or {}).get("root") or "")
    rows = InstalledModel.objects.named(model).filter(
        node_id=runtime.node_id, provider__in=providers_of(runtime)
    )
    for row in rows.in_version_order().select_related("node", "capabilities"):
        if row.is_active or (row.path and root.endswith(row.path)):
            return row
    return None


def _listed(runtime: Runtime, name: str) -> dict[str, object] | None:
    return runtime.serves(name) if runtime.status in _UP else None


def _is_folder(listed: dict[str, object], folder: str) -> bool:
    """Whether the server says that it serves this folder; one that says nothing of it
    is believed."""
    root = str(listed.get("root") or "")
    return not root or not folder or Path(root) == Path(folder)


def _by_start(runtime: Runtime, model: str) -> Way:
    """A server that holds many models and does not run: first it is started."""
    installed = _installed(runtime, model, needed=True)
    if installed is None:  # pragma: no cover - `needed` has refused
        raise ModelNotInstalled(lacks(runtime, model))
    _refuse_broken(installed)
    ours_or_refused(runtime)
    return Way(
        name=installed.name,
        served=installed.name,
        installed=installed,
        launch=launch_for(runtime, None),
        is_up=False,
    )


def _refuse_broken(installed: InstalledModel) -> None:
    if installed.status != ModelStatus.BROKEN:
        return
    raise ModelBroken(
        _("The files of “%(model)s” are not whole: %(why)s Install it again.")
        % {"model": installed.name, "why": installed.error},
        model=installed.name,
    )
