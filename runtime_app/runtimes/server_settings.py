"""The settings of a server as pages show them: set, from where, and what it uses.

What the server uses is what it says itself, else what its process was started with;
None where neither is known, such as for a server that somebody else started.
"""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings

from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.models import Runtime
from runtime_app.runtimes.launches import COMMANDS, FLAG_SETTINGS
from runtime_app.runtimes.ollama_settings import (
    explicit_values,
    ollama_environment,
    profile_values,
)

ENVIRONMENT = "environment"  # somebody has set it
DEFAULT = "default"  # ours, or the server's own where the value is empty


class ServerSetting(NamedTuple):
    """`source` is `environment`, `default`, or `profile <name>`."""

    name: str
    value: str
    source: str
    used: str | None


def settings_of(runtime: Runtime) -> list[ServerSetting]:
    """In the order of docs/configuration.md; none for servers added by hand."""
    if runtime.kind == RuntimeKind.OLLAMA:
        return _ollama(runtime)
    return _vllm(runtime) if runtime.kind == RuntimeKind.VLLM else []


def _ollama(runtime: Runtime) -> list[ServerSetting]:
    env = settings.ENV
    explicit = explicit_values(env)
    profile = f"profile {env.VENOM_OLLAMA_PROFILE}"
    named = profile_values(env.VENOM_OLLAMA_PROFILE)
    rows = [_plain("VENOM_OLLAMA_PROFILE")]
    for name, value in ollama_environment(env).items():
        is_theirs = name in named and name not in explicit
        source = profile if is_theirs else ENVIRONMENT
        rows.append(ServerSetting(name, value, source, _used_by_ollama(runtime, name)))
    return rows + [_plain(name) for name in _own_names(runtime)]


def _used_by_ollama(runtime: Runtime, name: str) -> str | None:
    """Ollama says of its settings only the context, with each loaded model."""
    lengths = {entry.get("context_length") for entry in runtime.loaded_models}
    if name == "OLLAMA_CONTEXT_LENGTH" and len(lengths - {None}) == 1:
        return str((lengths - {None}).pop())
    if not _runs_as_launched(runtime):
        return None
    found = runtime.launch.get("environment", {}).get(name)
    return None if found is None else str(found)


def _vllm(runtime: Runtime) -> list[ServerSetting]:
    names = {setting: flag for flag, setting in FLAG_SETTINGS.items()}
    rows = [
        _plain(name)._replace(used=_used_by_vllm(runtime, flag))
        for name, flag in names.items()
    ]
    more = ("VLLM_EXTRA_ARGS", "VLLM_START_TIMEOUT_SECONDS")
    return rows + [_plain(name) for name in (*more, *_own_names(runtime))]


def _used_by_vllm(runtime: Runtime, flag: str) -> str | None:
    """It tells the context of what it serves; the rest stands in its own argv."""
    lengths = {entry.get("context_length") for entry in runtime.served_models}
    if flag == "--max-model-len" and len(lengths - {None}) == 1:
        return str((lengths - {None}).pop())
    argv = list(runtime.launch.get("argv", ()))
    if not _runs_as_launched(runtime) or flag not in argv[:-1]:
        return None
    return str(argv[argv.index(flag) + 1])


def _own_names(runtime: Runtime) -> tuple[str, ...]:
    unit = COMMANDS[runtime.kind].replace("_COMMAND", "_SYSTEMD_UNIT")
    return COMMANDS[runtime.kind], unit, "VENOM_SYSTEMD_SCOPE"


def _plain(name: str) -> ServerSetting:
    env = settings.ENV
    value = getattr(env, name)
    default = type(env).model_fields[name].default
    source = DEFAULT if value == default else ENVIRONMENT
    return ServerSetting(name, "" if value is None else str(value), source, None)


def _runs_as_launched(runtime: Runtime) -> bool:
    return runtime.pid is not None and runtime.managed_by != ManagedBy.EXTERNAL
