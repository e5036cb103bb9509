"""InstalledModel: what is on a node's disk, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_app.choices import (
    PROVIDER_RUNTIMES,
    CapabilitySource,
    ModelStatus,
    ProviderName,
)
from models_app.models.nodes import Node
from models_app.querysets import InstalledModelQuerySet
from models_app.reasons import Reason, read_stored
from venom_site.lib.addresses import address
from venom_site.lib.ids import uuid7
from venom_site.lib.names import COMMIT_DIGITS, short_revision

if TYPE_CHECKING:
    from models_app.models.operations import Operation

STORED_STATUSES = (ModelStatus.INSTALLED, ModelStatus.BROKEN)


class InstalledModel(models.Model):
    """A model that a provider's store on this node holds, as last seen there.

    The store is the truth about bytes, this row about everything else: discovery
    makes it, follows its digest and deletes it when the store no longer lists it.
    `name` is written as the provider writes it (Ollama: always with a tag). `digest`
    proves the content: for Ollama the SHA-256 of the manifest, bare hex. `size_bytes`
    counts all layers, also those shared with other models.

    A Hugging Face model is a folder of ours: `revision` is its commit (40 hex), with
    `-<what>` behind it where it was converted here; `path` the folder, `files` what
    lies in it (`path`, `size_bytes`, `sha256` or `git_sha1`), and several revisions of
    one name stand side by side. `is_foreign` marks a folder of `MODELS_SCAN_DIRS`,
    which is never written to. `figures` is what memory is computed from
    (`providers/base.py`, `ModelFigures`); `measured_bytes` is what a runtime was seen
    to take at `measured_context` tokens.

    `error` holds a reason as a code (`reasons.py`) or what somebody said; `reason` says
    it. Activations point down at it; here only their reverse name `active_on` is known.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    node = models.ForeignKey(
        Node,
        verbose_name=_("node"),
        on_delete=models.PROTECT,
        related_name="installed_models",
    )
    provider = models.CharField(_("provider"), max_length=20, choices=ProviderName)
    name = models.CharField(_("name"), max_length=250)
    revision = models.CharField(_("revision"), max_length=100, blank=True)
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=ModelStatus,
        default=ModelStatus.INSTALLED,
    )
    error = models.CharField(_("what is wrong"), max_length=500, blank=True)

    digest = models.CharField(_("digest"), max_length=100, blank=True)
    size_bytes = models.BigIntegerField(_("size"), null=True, blank=True)
    format = models.CharField(_("format"), max_length=20, blank=True)
    family = models.CharField(_("family"), max_length=80, blank=True)
    parameter_size = models.CharField(_("parameters"), max_length=20, blank=True)
    quantization = models.CharField(_("quantization"), max_length=40, blank=True)
    context_length = models.PositiveIntegerField(
        _("longest context"), null=True, blank=True
    )
    license = models.CharField(_("licence"), max_length=200, blank=True)
    path = models.CharField(_("path"), max_length=500, blank=True)
    files = models.JSONField(_("files"), default=list, blank=True)
    figures = models.JSONField(_("figures for memory"), default=dict, blank=True)
    is_foreign = models.BooleanField(_("put there by others"), default=False)
    source = models.CharField(_("source"), max_length=250, blank=True)
    is_remote = models.BooleanField(_("runs in a cloud"), default=False)
    requires_gpu = models.BooleanField(_("needs a GPU"), null=True, blank=True)

    measured_bytes = models.BigIntegerField(
        _("memory measured here"), null=True, blank=True
    )
    measured_context = models.PositiveIntegerField(
        _("context when measured"), null=True, blank=True
    )
    measured_at = models.DateTimeField(_("measured at"), null=True, blank=True)

    pinned = models.BooleanField(_("pinned"), default=False)
    installed_by = models.CharField(_("installed by"), max_length=150, blank=True)
    installed_at = models.DateTimeField(_("installed at"), default=timezone.now)
    described_digest = models.CharField(
        _("digest when last described"), max_length=100, blank=True, editable=False
    )
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    requests_day = models.PositiveIntegerField(_("requests in 24 h"), default=0)

    objects = InstalledModelQuerySet.as_manager()
    if TYPE_CHECKING:
        is_active: bool
        is_misnamed: bool
        version_count: int
        open_operation: Operation | None

    class Meta:
        verbose_name = _("installed model")
        verbose_name_plural = _("installed models")
        ordering = ("name", "provider")
        constraints = [
            models.UniqueConstraint(
                fields=("node", "provider", "name", "revision"),
                name="installed_model_once",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=STORED_STATUSES),
                name="installed_model_stored_status",
            ),
        ]
        indexes = [
            models.Index(fields=("name", "id"), name="installed_model_name"),
            models.Index(fields=("digest",), name="installed_model_digest"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("model-detail", self.provider, self.name)

    @property
    def runtime(self) -> str:
        """The name of the runtime that runs it."""
        return PROVIDER_RUNTIMES[self.provider]

    @property
    def reason(self) -> Reason:
        """What is wrong with it: `error` as words of the reader's language."""
        return read_stored(self.error)

    @property
    def short_revision(self) -> str:
        """The first twelve digits of its commit and what it was converted to; empty
        where a name has one version."""
        return short_revision(self.revision)

    @property
    def is_converted(self) -> bool:
        """Made here from another revision: nobody else has it to fetch."""
        return len(self.revision) > COMMIT_DIGITS

    @property
    def short_digest(self) -> str:
        """The first twelve hex digits, as the vendor's own tools show it."""
        return self.digest.removeprefix("sha256:")[:12]


class Capabilities(models.Model):
    """What a model can do; null where nobody knows. `source` says who said so.

    What was set by hand is never overwritten by what a provider declares.
    """

    model = models.OneToOneField(
        InstalledModel,
        verbose_name=_("model"),
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="capabilities",
    )
    supports_chat = models.BooleanField(_("chat"), null=True, blank=True)
    supports_embedding = models.BooleanField(_("embeddings"), null=True, blank=True)
    supports_system_role = models.BooleanField(_("system role"), null=True, blank=True)
    supports_function_calling = models.BooleanField(_("tools"), null=True, blank=True)
    supports_vision = models.BooleanField(_("vision"), null=True, blank=True)
    supports_thinking = models.BooleanField(_("thinking"), null=True, blank=True)
    allowed_roles = models.JSONField(_("allowed roles"), default=list, blank=True)
    prompt_template = models.TextField(_("prompt template"), blank=True)
    source = models.CharField(
        _("source"),
        max_length=10,
        choices=CapabilitySource,
        default=CapabilitySource.DECLARED,
    )
    sources = models.JSONField(_("source of each"), default=dict, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("capabilities")
        verbose_name_plural = _("capabilities")
        ordering = ("model",)

    def __str__(self) -> str:
        return str(self.model)
