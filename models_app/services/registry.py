"""The registry: what this node's stores hold, as rows; here one of them is found.

Rows are written by `registering.py`, lists of them are made by `model_lists.py`.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import (
    PROFILE_PROVIDERS,
    OperationStatus,
    OperationType,
    ProviderName,
)
from models_app.models import InstalledModel, Node, Operation
from models_app.providers.base import (
    FoundModel,
    ProviderAway,
    ProviderFailed,
)
from models_app.providers.registry import provider_for
from models_app.querysets import InstalledModelQuerySet
from models_app.services.nodes import this_node
from models_app.services.registering import JOB_LIFE_SECONDS, register
from venom_site.lib.errors import (
    AmbiguousName,
    InvalidBody,
    NotFound,
    OutsideProfile,
    SeveralRevisions,
)
from venom_site.lib.names import is_model_name, short_revision
from venom_site.lib.queue import send_job

logger = logging.getLogger(__name__)

Key = tuple[str, str]  # provider and lower-cased name
Version = tuple[str, str]  # lower-cased name and revision


def find_installed(
    name: str, provider: str | None = None, revision: str = ""
) -> InstalledModel:
    """The model of this node that `name` means; case and `:latest` do not matter.

    Of several revisions it is the active one, else the newest, unless `revision` names
    one by its commit or the first digits of it. Without a row the stores are asked
    once, within 2 s each: what the vendor's own tool has just brought is found. Raises
    `NotFound`, `AmbiguousName` or `OutsideProfile`.
    """
    refuse_outside_profile(provider)
    if not is_model_name(name):
        raise _unknown(name)
    found = _held(name, provider, revision)
    if not found and _took_up(name, provider):
        found = _held(name, provider, revision)
    if not found:
        raise _unknown(name, revision)
    providers = sorted({model.provider for model in found})
    if len(providers) > 1:
        raise AmbiguousName(
            _("“%(name)s” is installed from %(providers)s. Say which: add provider.")
            % {"name": name, "providers": ", ".join(providers)},
            providers=providers,
        )
    return min(found, key=lambda model: model.name != name)


def get_installed(provider: str, name: str, revision: str = "") -> InstalledModel:
    """As `find_installed`, by its full address and without asking any store."""
    found = _held(name, provider, revision) if is_model_name(name) else []
    if not found:
        raise _unknown(name, revision)
    return min(found, key=lambda model: model.name != name)


def only_version(
    name: str, provider: str | None = None, revision: str = ""
) -> InstalledModel:
    """As `find_installed`, for what must not be guessed: of several revisions one has
    to be named, else this is 409 with all of them."""
    model = find_installed(name, provider, revision)
    refuse_several(model, revision)
    return model


def refuse_several(model: InstalledModel, revision: str) -> None:
    """Raise 409 where `revision` fits more than this one of its name."""
    versions = InstalledModel.objects.versions_of(model).of_revision(revision)
    found = list(versions.order_by("-installed_at").values_list("revision", flat=True))
    if len(found) > 1:
        raise SeveralRevisions(
            _(
                "%(count)s revisions of “%(name)s” are installed: %(revisions)s. Say "
                "which: add revision."
            )
            % {
                "count": len(found),
                "name": model.name,
                "revisions": ", ".join(short_revision(each) or "–" for each in found),
            },
            revisions=found,
        )


def versions_of(model: InstalledModel) -> list[InstalledModel]:
    """Every revision of it on its node, the newest first."""
    rows = InstalledModel.objects.versions_of(model)
    return list(rows.for_display().order_by("-installed_at"))


def refuse_outside_profile(provider: str | None) -> None:
    """Raise 403 where the present profile shows no such provider, or none at all."""
    profile = settings.RUNTIME_PROFILE
    shown = PROFILE_PROVIDERS[profile]
    if provider in shown or (provider is None and shown):
        return
    wanted = provider or ProviderName.OLLAMA
    having = [name for name, held in PROFILE_PROVIDERS.items() if wanted in held]
    raise OutsideProfile(
        _("Profile %(profile)s has no such models; they need profile %(others)s.")
        % {"profile": profile, "others": " / ".join(having)},
        profile=profile,
        profiles_with_it=having,
    )


def installed_here() -> InstalledModelQuerySet:
    return InstalledModel.objects.of_profile().of_node(settings.NODE)


def _held(name: str, provider: str | None, revision: str = "") -> list[InstalledModel]:
    rows = installed_here().named(name, provider).of_revision(revision)
    shown = rows.select_related("node", "capabilities").with_versions()
    return list(shown.in_version_order())


def _unknown(name: str, revision: str = "") -> NotFound:
    if revision:
        return NotFound(
            _(
                "Revision %(revision)s of “%(name)s” is not installed here. GET "
                "/api/v1/models/%(name)s/versions lists those that are."
            )
            % {"name": name[:60], "revision": revision[:40]}
        )
    return NotFound(
        _("“%(name)s” is not installed here. GET /api/v1/models lists what is.")
        % {"name": name[:60]}
    )


def _took_up(name: str, provider: str | None) -> bool:
    """Whether a store had it although no row did; it has one now."""
    shown = PROFILE_PROVIDERS[settings.RUNTIME_PROFILE]
    asked = [provider] if provider else sorted(shown)
    taken_up = [_took_up_from(each, name) for each in asked]  # all: names may clash
    return any(taken_up)


def _took_up_from(provider: str, name: str) -> bool:
    try:
        store = provider_for(provider)
        wanted = store.canonical_name(name).lower()
        listed = store.list_installed()
    except (InvalidBody, ValueError, ProviderAway, ProviderFailed) as error:
        logger.info("store not asked provider=%s %s", provider, error)
        return False
    node = this_node()
    leaving = removals(node, provider)
    found = [each for each in listed if each.name.lower() == wanted]
    staying = [each for each in found if version_key(each) not in leaving]
    for each in staying:
        register(node, each, provider=provider, description=None)
    if not staying:
        return False
    send_job(
        "models_app.discover_models", queue=node.queue, life_seconds=JOB_LIFE_SECONDS
    )
    return True


def version_key(each: FoundModel | InstalledModel) -> Version:
    """What tells the versions of one provider on one node apart."""
    return each.name.lower(), each.revision


def removals(node: Node, provider: str, since: datetime | None = None) -> set[Version]:
    """Versions whose removal is open, or was carried out since then."""
    rows = Operation.objects.filter(
        node=node, provider=provider, operation_type=OperationType.REMOVE
    )
    told = list(rows.open().values_list("model_name", "params"))
    if since is not None:
        ended = rows.filter(status=OperationStatus.COMPLETED, completed_at__gte=since)
        told += ended.values_list("model_name", "params")
    return {(name.lower(), params.get("revision", "")) for name, params in told}


def is_misnamed(model: InstalledModel) -> bool:
    """Whether its server calls it otherwise; asked only where it must be."""
    if hasattr(model, "is_misnamed"):
        return model.is_misnamed
    row = InstalledModel.objects.with_names().filter(pk=model.pk).first()
    return row is not None and row.is_misnamed


def is_active(model: InstalledModel) -> bool:
    """Whether it answers requests now; asked of the database only where it must be."""
    if hasattr(model, "is_active"):
        return model.is_active
    row = InstalledModel.objects.with_activity().filter(pk=model.pk).first()
    return row is not None and row.is_active
