"""The shapes in which models leave and wishes about them arrive.

One for API, events and terminal. Bodies are strict and ignore fields they do not know;
output is plain dicts with the names of docs/api.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from models_app.choices import PROVIDER_ALIASES, ProviderName
from models_app.models import InstalledModel
from models_app.schemas.operations import WaitSeconds
from venom_site.lib.names import model_name
from venom_site.lib.units import GB, iso

if TYPE_CHECKING:
    from models_app.services.model_lists import ModelRow

LOCAL, CLOUD = "local-runtime", "cloud-api"


def known_provider(value: str) -> str:
    """The provider's own word; raises ValueError naming those there are."""
    name = PROVIDER_ALIASES.get(value, value)
    if name not in ProviderName.values:
        known = ", ".join([*ProviderName.values, *PROVIDER_ALIASES])
        raise ValueError(f"must be one of {known}")
    return name


Provider = Annotated[str, AfterValidator(known_provider)]


Revision = Annotated[str, Field(max_length=100)]


class ProviderQuery(Schema):
    """Which of several models of one name."""

    provider: Provider | None = None


class VersionQuery(ProviderQuery):
    """Which of several revisions, too: its commit or the first seven digits of it."""

    revision: Revision = ""


class VersionOut(Schema):
    revision: str | None
    digest: str | None
    size_gb: float | None
    installed_at: str | None
    active: bool
    source: str | None


class VersionsAnswer(Schema):
    success: bool = True
    versions: list[VersionOut]


class GpuUsageOut(Schema):
    index: int
    name: str
    vram_usage_mb: int
    vram_total_mb: int
    vram_usage_percent: float | None
    gpu_usage_percent: float | None


class UsageOut(Schema):
    """Disks in GB of 10⁹ bytes, memory in GiB, graphics memory in MiB; null without a
    GPU."""

    disk_usage_gb: float
    disk_limit_gb: float
    disk_usage_percent: float | None
    cpu_usage_percent: float
    memory_total_gb: float
    memory_used_gb: float
    memory_usage_percent: float | None
    gpu_usage_percent: float | None
    vram_usage_mb: int | None
    vram_total_mb: int | None
    vram_usage_percent: float | None
    models_count: int
    gpus: list[GpuUsageOut]


class UsageAnswer(Schema):
    success: bool = True
    usage: UsageOut


class RoomQuery(Schema):
    """How many bytes have to come free; for none nothing has to leave."""

    bytes: Annotated[int, Field(ge=0, le=10**15)] = 0


class RoomOut(Schema):
    name: str
    provider: str
    revision: str | None
    size_gb: float | None
    size_bytes: int | None
    last_used_at: str | None


class RoomAnswer(Schema):
    """Empty where nothing that may leave frees so much."""

    success: bool = True
    proposal: list[RoomOut]
    freed_bytes: int


class NamedBody(Schema):
    """A body that names a model by `name` or `model`."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, AfterValidator(model_name)] | None = None
    model: Annotated[str, AfterValidator(model_name)] | None = None
    provider: Provider | None = None

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if not self.wanted:
            raise ValueError("give the model's name")
        if self.name and self.model and self.name != self.model:
            raise ValueError("name and model differ: give one of them")
        return self

    @property
    def wanted(self) -> str:
        return self.name or self.model or ""


class RemoveBody(NamedBody):
    """POST `/models/remove`; of several revisions one has to be named."""

    revision: Revision | None = None
    wait_seconds: WaitSeconds = 0


def model_payload(row: ModelRow) -> dict[str, Any]:
    """A model as docs/api.md shows it; null where nobody has told us."""
    model = row.model
    size = row.operation.bytes_total if model is None and row.operation else None
    known: dict[str, Any] = _stored(model) if model else {"size_gb": size_gb(size)}
    return (
        dict.fromkeys(_STORED)
        | {
            "name": row.name,
            "display_name": row.name,
            "provider": row.provider,
            "runtime": row.runtime,
            "status": row.status,
            "active": row.is_active,
            "source_type": LOCAL,
            "operation_id": str(row.operation.pk) if row.operation else None,
        }
        | known
    )


_STORED = (
    "type",
    "size_gb",
    "quantization",
    "parameter_size",
    "path",
    "source",
    "digest",
    "revision",
    "requires_gpu",
    "installed_at",
)


def _stored(model: InstalledModel) -> dict[str, Any]:
    return {
        "type": model.format or None,
        "size_gb": size_gb(model.size_bytes),
        "quantization": model.quantization or None,
        "parameter_size": model.parameter_size or None,
        "path": model.path or None,
        "source": model.source or None,
        "digest": model.digest or None,
        "revision": model.revision or None,
        "source_type": CLOUD if model.is_remote else LOCAL,
        "requires_gpu": model.requires_gpu,
        "installed_at": iso(model.installed_at),
    }


def size_gb(size_bytes: int | None) -> float | None:
    """Decimal gigabytes with two decimals, as the contract counts models."""
    return None if size_bytes is None else round(size_bytes / GB, 2)


def version_payload(model: InstalledModel, *, is_active: bool) -> dict[str, Any]:
    return {
        "revision": model.revision or None,
        "digest": model.digest or None,
        "size_gb": size_gb(model.size_bytes),
        "installed_at": iso(model.installed_at),
        "active": is_active,
        "source": model.source or None,
    }
