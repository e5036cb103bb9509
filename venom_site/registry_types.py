"""What the Python API answers with: plain objects, without a database behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

from models_app.choices import OperationStatus


@dataclass(kw_only=True)
class ModelCapabilities:
    """What a model can do; None where nobody knows. Lengths in tokens."""

    supports_system_role: bool | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    supports_thinking: bool | None = None
    supports_chat: bool | None = None
    supports_embedding: bool | None = None
    allowed_roles: list[str] = field(default_factory=list)
    prompt_template: str | None = None
    max_context_length: int | None = None
    quantization: str | None = None
    source: str | None = None
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class ModelMetadata:
    """A model as the registry knows it; sizes in GB of 10⁹ bytes, times in UTC."""

    name: str
    provider: str
    display_name: str = ""
    size_gb: float | None = None
    status: str = ""
    capabilities: ModelCapabilities = field(default_factory=ModelCapabilities)
    local_path: str | None = None
    sha256: str | None = None
    installed_at: str | None = None
    runtime: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelOperation:
    """An operation as it was when it was asked for; `progress` in percent."""

    operation_id: str
    operation_type: str
    model_name: str
    status: OperationStatus
    progress: float
    message: str
    error: str
    error_code: str
