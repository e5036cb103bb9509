"""The only reader of the environment: typed, frozen, complete.

`load()` is called once by `venom_site.settings`. It reads the process environment
over `.env`, takes every secret also from `<NAME>_FILE`, and raises
`BadEnvironment` once, listing every bad variable. Nothing else in the product may
touch `os.environ` for configuration.
"""

from __future__ import annotations

import os
import re
import socket
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from venom_site.env_types import (
    Count,
    Fraction,
    HttpUrl,
    Port,
    Seconds,
    named_servers,
    node_name,
    time_zone,
)

BASE_DIR = Path(__file__).resolve().parent.parent


class BadEnvironment(Exception):
    """One message that names every bad variable; the start stops with it."""


SECRETS = frozenset(
    {
        "DATABASE_URL",
        "REDIS_URL",
        "VENOM_SECRET_KEY",
        "VENOM_ENCRYPTION_KEYS",
        "HF_TOKEN",
        "OPENAI_API_KEY",
        "GOOGLE_API_KEY",
    }
)


class Env(BaseSettings):
    """Every variable of the product under its own name; units are in the name."""

    # `django.conf.settings` asks each value it hands out for this name; that pydantic
    # has none costs 15 µs a read, on the path of every request (measured).
    _mask_wrapped: ClassVar[bool] = True

    model_config = SettingsConfigDict(
        env_file=None,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        case_sensitive=True,
    )

    # The installation
    VENOM_DATA_DIR: Path = Path("data")
    DATABASE_URL: SecretStr = SecretStr("")
    REDIS_URL: SecretStr = SecretStr("")
    VENOM_SECRET_KEY: SecretStr = SecretStr("")
    VENOM_ENCRYPTION_KEYS: SecretStr = SecretStr("")
    VENOM_ALLOWED_HOSTS: str = ""
    VENOM_CSRF_TRUSTED_ORIGINS: str = ""
    VENOM_DEBUG: bool = False
    VENOM_HOST: str = "127.0.0.1"
    VENOM_PORT: Port = 8000
    VENOM_TIME_ZONE: Annotated[str, AfterValidator(time_zone)] = "UTC"
    VENOM_NODE: Annotated[str, AfterValidator(node_name)] = Field(
        default_factory=lambda: node_name(socket.gethostname() or "local")
    )
    VENOM_RUNTIME_PROFILE: Literal["light", "llm_off", "full"] = "light"
    VENOM_MAX_DOWNLOADS: Annotated[int, Field(ge=1, le=4)] = 2
    VENOM_STOP_GRACE_SECONDS: Annotated[float, Field(ge=2, le=600)] = 10
    VENOM_ON_INACTIVE_MODEL: Literal["refuse", "fallback", "activate"] = "refuse"
    VENOM_ENABLE_THINK: bool = False
    VENOM_LOG_RETENTION_DAYS: Count = 7
    VENOM_MEMORY_ALERT_PERCENT: Annotated[int, Field(ge=1, le=100)] = 85
    VENOM_STORE_PROMPTS: Literal["none", "preview", "full"] = "preview"
    VENOM_HISTORY_RETENTION_DAYS: Count = 30

    # The gateway's deadlines
    VENOM_CONNECT_SECONDS: Seconds = 5
    VENOM_FIRST_BYTE_SECONDS_LOCAL: Seconds = 300
    VENOM_FIRST_BYTE_SECONDS_CLOUD: Seconds = 30
    VENOM_STREAM_IDLE_SECONDS: Seconds = 60
    VENOM_TOTAL_SECONDS: Seconds = 600

    # Ollama
    OLLAMA_BASE_URL: HttpUrl = "http://127.0.0.1:11434"
    OLLAMA_PORT: Port | None = None
    OLLAMA_LIBRARY_URL: HttpUrl = "https://ollama.com"
    OLLAMA_REGISTRY_URL: HttpUrl = "https://registry.ollama.ai"
    VENOM_OLLAMA_PROFILE: Literal[
        "balanced-12-24gb", "low-vram-8-12gb", "max-context-24gb-plus"
    ] = "balanced-12-24gb"
    OLLAMA_CONTEXT_LENGTH: Count | None = None
    OLLAMA_NUM_PARALLEL: Count | None = None
    OLLAMA_MAX_QUEUE: Count | None = None
    OLLAMA_FLASH_ATTENTION: bool | None = None
    OLLAMA_KV_CACHE_TYPE: Literal["f16", "q8_0", "q4_0"] | None = None
    OLLAMA_KEEP_ALIVE: str = ""
    OLLAMA_LOAD_TIMEOUT: str = ""
    OLLAMA_NO_CLOUD: bool = False
    LLM_KEEP_ALIVE: str = ""
    OLLAMA_COMMAND: str = "ollama serve"
    OLLAMA_SYSTEMD_UNIT: str = "ollama.service"
    OLLAMA_CLI: str = "ollama"

    # vLLM and other OpenAI-compatible servers
    VLLM_ENDPOINT: HttpUrl = "http://127.0.0.1:8001/v1"
    VLLM_COMMAND: str = "vllm serve"
    VLLM_PORT: Port | None = None
    VLLM_GPU_MEMORY_UTILIZATION: Fraction | None = None
    VLLM_MAX_MODEL_LEN: Count | None = None
    VLLM_DTYPE: str = ""
    VLLM_EXTRA_ARGS: str = ""
    VLLM_START_TIMEOUT_SECONDS: Seconds = 600
    VLLM_SYSTEMD_UNIT: str = "vllm.service"
    VLLM_PREPARE_COMMAND: str = ""
    VLLM_MODEL_PATH: str = ""
    VENOM_SYSTEMD_SCOPE: Literal["system", "user"] = "system"
    VENOM_OPENAI_COMPATIBLE_SERVERS: Annotated[str, AfterValidator(named_servers)] = ""

    # Clouds and catalogues
    HF_ENDPOINT: HttpUrl = "https://huggingface.co"
    HF_TOKEN: SecretStr = SecretStr("")
    OPENAI_BASE_URL: HttpUrl = "https://api.openai.com/v1"
    OPENAI_API_KEY: SecretStr = SecretStr("")
    GOOGLE_BASE_URL: HttpUrl = "https://generativelanguage.googleapis.com"
    GOOGLE_API_KEY: SecretStr = SecretStr("")
    OPENAI_DEFAULT_MODEL: str = ""
    GOOGLE_DEFAULT_MODEL: str = ""
    OPENAI_CHEAP_MODEL: str = ""
    GOOGLE_CHEAP_MODEL: str = ""
    NEWS_BLOG_FEED_URL: HttpUrl = "https://huggingface.co/blog/feed.xml"
    NEWS_PAPERS_URL: HttpUrl = "https://huggingface.co/api/daily_papers"
    AI_MODE: Literal["LOCAL", "HYBRID", "CLOUD"] = "LOCAL"

    # Models on disk
    MODELS_CACHE_DIR: Path | None = None
    MODELS_MAX_DISK_GB: Annotated[float, Field(gt=0)] = 50
    MODELS_CONFIRM_ABOVE_GB: Annotated[float, Field(ge=0)] = 20
    MODELS_SCAN_DIRS: str = "./models"
    MODELS_DEFAULT_SIZE_GB: Annotated[float, Field(gt=0)] = 4.0

    # Initial values: read at the first start, afterwards the database is the truth
    LLM_MODEL_NAME: str = ""
    VLLM_ACTIVE_MODEL: str = ""
    OLLAMA_ACTIVE_MODEL: str = ""
    ACTIVE_LLM_SERVER: str = ""
    LLM_SERVICE_TYPE: str = ""
    LLM_LOCAL_ENDPOINT: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load()` hands over: it has read every source already."""
        return (init_settings,)

    @cached_property
    def openai_compatible_servers(self) -> dict[str, str]:
        """`name=url,…` of VENOM_OPENAI_COMPATIBLE_SERVERS as {name: url}."""
        pairs = self.VENOM_OPENAI_COMPATIBLE_SERVERS.split(",")
        return dict(pair.strip().split("=", 1) for pair in pairs if pair.strip())

    @cached_property
    def data_dir(self) -> Path:
        """Absolute data folder; a relative one lies beside manage.py."""
        return (BASE_DIR / self.VENOM_DATA_DIR.expanduser()).resolve()

    @cached_property
    def ollama_url(self) -> str:
        return _with_port(self.OLLAMA_BASE_URL, self.OLLAMA_PORT)

    @cached_property
    def vllm_url(self) -> str:
        return _with_port(self.VLLM_ENDPOINT, self.VLLM_PORT)


def _with_port(url: str, port: int | None) -> str:
    if port is None:
        return url
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts._replace(netloc=f"{host}:{port}").geturl()


def read_dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines of a file; quotes are removed, `#` lines skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadEnvironment(f"{path} cannot be read: {error}.") from error
    pairs: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.removeprefix("export ").partition("=")
        if separator and not name.lstrip().startswith("#"):
            pairs[name.strip()] = value.strip().strip("\"'")
    return pairs


def _with_secret_files(values: dict[str, str], bad: list[str]) -> dict[str, str]:
    for name in SECRETS:
        path = values.get(f"{name}_FILE")
        if not path:
            continue
        if values.get(name):
            bad.append(f"{name}: give it or {name}_FILE, not both")
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not readable text"
            bad.append(f"{name}_FILE: {path} cannot be read ({reason})")
    return values


def _port_conflicts(values: dict[str, str]) -> list[str]:
    pairs = (("OLLAMA_PORT", "OLLAMA_BASE_URL"), ("VLLM_PORT", "VLLM_ENDPOINT"))
    found = []
    for port, url in pairs:
        in_url = re.search(r":(\d+)(?:/|$)", values.get(url) or "")
        if values.get(port) and in_url and in_url[1] != values[port].strip():
            found.append(f"{port} and {url} name different ports: give one of them")
    return found


def _complaint(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    reason = str(detail["msg"]).removeprefix("Value error, ")
    if not name:
        return reason
    if name in SECRETS:
        return f"{name}: {reason}"
    return f"{name}: {reason} (given: {detail['input']!r})"


def load(environ: dict[str, str] | None = None, dotenv: Path | None = None) -> Env:
    """Read and check everything; raises `BadEnvironment` naming all that is wrong."""
    given = dict(os.environ if environ is None else environ)
    default = Path(given.get("VENOM_ENV_FILE") or BASE_DIR / ".env")
    values = read_dotenv(dotenv or default) | given
    bad: list[str] = []
    values = _with_secret_files(values, bad)
    bad += _port_conflicts(values)
    known = {name: value for name, value in values.items() if value != ""}
    fields = {name: known[name] for name in Env.model_fields if name in known}
    env = None
    try:
        env = Env.model_validate(fields)
    except ValidationError as error:
        bad += [_complaint(detail) for detail in error.errors()]
    if bad or env is None:
        listed = "".join(f"\n  {line}" for line in sorted(bad))
        raise BadEnvironment(f"Venom cannot start, these settings are wrong:{listed}")
    return env
