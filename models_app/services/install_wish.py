"""What somebody wants installed: its right name, its size, and what it lacks.

Read by the request, which refuses, and by the check, which tells. Raises 422 for what
nobody could install and 403 for what another profile has; writes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import PROVIDER_RUNTIMES, VERSIONED_PROVIDERS, ModelStatus
from models_app.models import InstalledModel, Node, Operation
from models_app.providers.base import (
    AccessDenied,
    CatalogueChanged,
    Manifest,
    ModelNotFound,
    NoWeights,
    Provider,
    ProviderAway,
    ProviderFailed,
    UnsafeFile,
)
from models_app.providers.registry import provider_for
from models_app.schemas.models import known_provider
from models_app.services.complaints import settled
from models_app.services.nodes import this_node
from models_app.services.registry import refuse_outside_profile
from models_app.services.storage import (
    Shortage,
    Storage,
    halves_of,
    shortage,
    storage_of,
)
from models_app.services.targets import model_target
from venom_site.lib.errors import InvalidBody, VenomError
from venom_site.lib.names import model_name
from venom_site.lib.units import GB, size_text

# Asking again changes nothing.
FINAL = (ModelNotFound, AccessDenied, NoWeights, UnsafeFile, CatalogueChanged)
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A model of a provider of this profile, named as its store names it."""

    provider: str
    adapter: Provider
    name: str
    node: Node

    @property
    def runtime(self) -> str:
        return PROVIDER_RUNTIMES[self.provider]

    @property
    def target(self) -> str:
        return model_target(self.node, self.provider, self.name)

    @property
    def holder(self) -> Operation | None:
        """What is open on the same model."""
        rows = Operation.objects.open().select_related("node")
        return rows.filter(target_key=self.target).first()

    @property
    def has_revisions(self) -> bool:
        return self.provider in VERSIONED_PROVIDERS

    @property
    def installed(self) -> InstalledModel | None:
        """Of several revisions the active one, else the newest."""
        rows = InstalledModel.objects.filter(node=self.node)
        return rows.named(self.name, self.provider).in_version_order().first()

    def holds(self, manifest: Manifest) -> bool:
        """Whether exactly this lies here, whole."""
        rows = InstalledModel.objects.filter(
            node=self.node,
            status=ModelStatus.INSTALLED,
            digest=manifest.digest,
            revision=manifest.revision,
            is_foreign=False,
        )
        return rows.named(self.name, self.provider).exists()

    def storage(self, manifest: Manifest | None, **known: Any) -> Storage:
        """How full the store is for whom this is the next to come."""
        coming = (self.name.lower(), manifest.revision) if manifest else None
        return storage_of(self.node, provider=self.provider, fetching=coming, **known)

    def bytes_here(self, manifest: Manifest | None) -> int:
        """What an earlier fetch of exactly this has left on our disk."""
        if manifest is None or not self.adapter.is_own_store:
            return 0
        coming = (self.name.lower(), manifest.revision)
        return sum(
            half.size_bytes
            for half in halves_of(self.provider)
            if (half.name.lower(), half.revision) == coming
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the source promises, or why it promises nothing.

    `trouble` costs only exactness; `refusal` is final: it cannot be installed so.
    """

    manifest: Manifest | None
    needed_bytes: int
    trouble: str = ""
    refusal: VenomError | None = None

    @property
    def needs_confirmation(self) -> bool:
        most = settings.ENV.MODELS_CONFIRM_ABOVE_GB * GB
        return self.manifest is not None and self.needed_bytes > most


def read_wish(provider: str, name: str) -> Wish:
    """Raises 422 for what nobody could install, 403 for another profile's."""
    try:
        chosen = known_provider(provider)
    except ValueError as error:
        raise invalid("provider", str(error)) from None
    try:
        plain = model_name(name)
    except ValueError as error:
        raise invalid("name", str(error)) from None
    refuse_outside_profile(chosen)
    adapter = provider_for(chosen)
    try:
        stored = adapter.canonical_name(plain)
    except ValueError as error:
        raise invalid("name", str(error)) from None
    return Wish(provider=chosen, adapter=adapter, name=stored, node=this_node())


def invalid(place: str, message: str) -> InvalidBody:
    return InvalidBody(
        _("%(place)s: %(message)s.") % {"place": place, "message": message},
        errors=[{"loc": f"body.{place}", "message": message}],
    )


def runs_in_a_cloud(name: str) -> bool:
    """Ollama marks models that it only passes on by their tag."""
    tag = name.rpartition(":")[2].lower()
    return tag == "cloud" or tag.endswith("-cloud")


def local_only(wish: Wish) -> str:
    return _(
        "“%(name)s” runs in Ollama's cloud, and OLLAMA_NO_CLOUD keeps everything on "
        "this machine. Choose a tag without “cloud”."
    ) % {"name": wish.name}


def read_revision(wish: Wish, revision: str) -> str:
    """A branch, tag or commit as it was asked for; raises 422 for none of them."""
    if revision and not wish.has_revisions:
        message = _("cannot be chosen here: the tag in the name is the version")
        raise invalid("revision", message)
    if revision and not _REVISION.fullmatch(revision):
        message = _("must be a branch, a tag or a commit")
        raise invalid("revision", message)
    return revision


def measure(wish: Wish, revision: str = "") -> Measured:
    """A source that cannot say it costs exactness, not the install; only where we
    fetch ourselves, a source that says no has decided."""
    manifest, trouble = None, ""
    try:
        manifest = wish.adapter.measure(wish.name, revision)
    except FINAL as error:
        if wish.adapter.is_own_store:
            return Measured(manifest=None, needed_bytes=0, refusal=error)
        trouble = _trouble(error)
    except (ProviderAway, ProviderFailed) as error:
        if wish.adapter.is_own_store and isinstance(error, ProviderFailed):
            return Measured(manifest=None, needed_bytes=0, refusal=error)
        trouble = _("%(source)s cannot be asked for the size of “%(name)s” now.")
    if manifest is None and not trouble:
        trouble = _("%(source)s does not say the size of “%(name)s”.")
    if manifest is not None:
        manifest = settled(manifest)
        needed = 0 if wish.holds(manifest) else manifest.size_bytes
        return Measured(manifest=manifest, needed_bytes=needed)
    return Measured(
        manifest=None,
        needed_bytes=int(settings.ENV.MODELS_DEFAULT_SIZE_GB * GB),
        trouble=trouble % {"source": wish.adapter.source, "name": wish.name},
    )


def _trouble(error: VenomError) -> str:
    """Why a server that fetches itself is asked all the same."""
    if isinstance(error, AccessDenied):
        return _(
            "%(source)s does not show “%(name)s” to everybody. It is tried all the "
            "same: the server may be signed in."
        )
    return _(
        "%(source)s does not know “%(name)s”. It is tried all the same: the server "
        "may have another source."
    )


def in_its_own_letters(wish: Wish, manifest: Manifest | None) -> Wish:
    """A hub finds a name in any letter case; it is kept as the hub writes it."""
    if manifest is None or manifest.name.lower() != wish.name.lower():
        return wish
    return replace(wish, name=manifest.name)


def room_lacking(
    wish: Wish, measured: Measured, holder: Operation | None = None
) -> Shortage | None:
    """What quota or disk lack for it, beside everything that was promised room."""
    return shortage(
        wish.storage(measured.manifest, without=holder),
        measured.needed_bytes,
        here=wish.bytes_here(measured.manifest),
    )


def lacks(wish: Wish, lacking: Shortage) -> str:
    words = {
        "name": wish.name,
        "needed": size_text(lacking.needed_bytes),
        "free": size_text(lacking.free_bytes),
    }
    if lacking.limit == "disk":
        return _("“%(name)s” needs %(needed)s; the disk has %(free)s to spare.") % words
    return _("“%(name)s” needs %(needed)s; the limit leaves %(free)s.") % words


def remedy(lacking: Shortage) -> str:
    if lacking.limit == "disk":
        return _("Remove models or other files first.")
    return _("Remove models first, or raise MODELS_MAX_DISK_GB.")
