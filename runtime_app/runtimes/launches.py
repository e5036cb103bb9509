"""With what a server is started: its argv and what is added to its environment.

From the settings, the row's address and the model; nothing here starts anything. Facts:
vLLM 0.32 and 0.33 (`vllm serve --help`), Ollama 0.16 to 0.33.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.models import InstalledModel
from runtime_app.choices import RuntimeKind
from runtime_app.models import Runtime
from runtime_app.runtimes.control import Launch
from runtime_app.runtimes.ollama_settings import ollama_environment
from venom_site.clients import here
from venom_site.lib.errors import Conflict

COMMANDS = {
    RuntimeKind.OLLAMA.value: "OLLAMA_COMMAND",
    RuntimeKind.VLLM.value: "VLLM_COMMAND",
}
# VLLM_PORT and VLLM_HOST_IP mean something else inside vLLM and are never handed on.
VLLM_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
CHAT_TEMPLATE = "chat_template.jinja"
# Flags of vLLM that have a setting of their own.
FLAG_SETTINGS = {
    "--gpu-memory-utilization": "VLLM_GPU_MEMORY_UTILIZATION",
    "--max-model-len": "VLLM_MAX_MODEL_LEN",
    "--dtype": "VLLM_DTYPE",
}
_OUR_FLAGS = {
    "--model": "POST /api/v1/models/activate",
    "--served-model-name": "POST /api/v1/models/activate",
    "--host": "VLLM_ENDPOINT",
    "--port": "VLLM_ENDPOINT",
}


class CommandMissing(Conflict):
    """The program that would start the server is not there; `setting` names it."""

    code = "command_missing"


class ModelFolderMissing(Conflict):
    """What vLLM would be given is no model folder; `path` says where it was sought."""

    code = "model_folder_missing"


class ModelNeeded(Conflict):
    """This kind of server starts with one model, and none is known."""

    code = "model_needed"


class BadServerSetting(Conflict):
    """A setting of the server that cannot be used; `setting` names it."""

    code = "bad_server_setting"


def launch_for(runtime: Runtime, model: InstalledModel | None) -> Launch:
    """How to start it here; vLLM needs a model, Ollama loads its models later.

    Raises `CommandMissing`, `ModelFolderMissing`, `ModelNeeded` and `BadServerSetting`,
    each with what to do about it.
    """
    argv = tuple(command_of(runtime))
    if runtime.kind == RuntimeKind.OLLAMA:
        return Launch(argv=argv, environment=_ollama(runtime))
    if model is None:
        raise ModelNeeded(
            _("%(runtime)s starts with one model. Name an installed one.")
            % {"runtime": runtime.display_name},
            runtime=runtime.name,
        )
    folder = _folder(model)
    return Launch(
        argv=(*argv, *_vllm_arguments(runtime, model.name, folder, argv)),
        environment=dict(VLLM_ENVIRONMENT),
        model=str(folder),
        served_name=model.name,
    )


def command_of(runtime: Runtime) -> list[str]:
    """The argv of OLLAMA_COMMAND or VLLM_COMMAND, its program as a whole path."""
    setting = COMMANDS.get(runtime.kind, "")
    words = _words(setting) if setting else []
    found = here.program(words[0]) if words else None
    if found is None:
        raise CommandMissing(
            _(
                "%(setting)s names “%(program)s”, which is not on this machine. "
                "Install it or set %(setting)s to the command that starts %(runtime)s."
            )
            % {
                "setting": setting,
                "program": words[0] if words else "",
                "runtime": runtime.display_name,
            },
            runtime=runtime.name,
            setting=setting,
        )
    return [found, *words[1:]]


def kept(launch: Launch) -> dict[str, Any]:
    """As the row keeps it: plain values."""
    return asdict(launch) | {"argv": list(launch.argv)}


def was_launched(runtime: Runtime) -> Launch | None:
    """What the row says that the server was started with last."""
    told = runtime.launch
    if not told.get("argv"):
        return None
    return Launch(
        argv=tuple(told["argv"]),
        environment=dict(told.get("environment", {})),
        model=told.get("model", ""),
        served_name=told.get("served_name", ""),
    )


def _words(setting: str) -> list[str]:
    """A setting as words; no shell reads it."""
    try:
        return shlex.split(getattr(settings.ENV, setting))
    except ValueError:
        raise BadServerSetting(
            _("%(setting)s cannot be split into words: a quote is not closed.")
            % {"setting": setting},
            setting=setting,
        ) from None


def _ollama(runtime: Runtime) -> dict[str, str]:
    host = f"[{runtime.host}]" if ":" in runtime.host else runtime.host
    address = {"OLLAMA_HOST": f"{host}:{runtime.port}"}
    return address | ollama_environment(settings.ENV)


def _folder(model: InstalledModel) -> Path:
    """The model's folder, proved: vLLM itself would take a missing one for a name of
    the Hub and fail with a sentence about that."""
    folder = Path(model.path) if model.path else None
    try:
        if folder is None or not (folder.is_absolute() and folder.is_dir()):
            raise _unusable(
                model,
                _(
                    "The folder of “%(model)s” is gone: %(path)s. Install the model "
                    "again."
                ),
            )
        if not (folder / "config.json").is_file():
            raise _unusable(
                model,
                _(
                    "The folder of “%(model)s” has no config.json, so it is no model "
                    "that vLLM can read: %(path)s. Install the model again."
                ),
            )
    except OSError as error:
        told = _(
            "The folder of “%(model)s” cannot be looked into (%(why)s): %(path)s. Let "
            "the user that runs Venom read it."
        )
        why = error.strerror or type(error).__name__
        raise _unusable(model, told, why=why) from error
    return folder


def _unusable(model: InstalledModel, told: str, **words: str) -> ModelFolderMissing:
    known = {"model": model.name, "path": model.path or "–"}
    sentence = told % (known | words)
    return ModelFolderMissing(sentence, model=model.name, path=model.path)


def _vllm_arguments(
    runtime: Runtime, name: str, folder: Path, command: tuple[str, ...]
) -> list[str]:
    extra = _words("VLLM_EXTRA_ARGS")
    _refuse_twice(extra)
    is_module = any(word.endswith("api_server") for word in command)
    arguments = ["--model", str(folder)] if is_module else [str(folder)]
    arguments += ["--served-model-name", name]
    arguments += ["--host", _listening_host(runtime), "--port", str(runtime.port)]
    for flag, setting in FLAG_SETTINGS.items():
        if value := getattr(settings.ENV, setting):
            arguments += [flag, str(value)]
    template = folder / CHAT_TEMPLATE
    if template.is_file() and "--chat-template" not in _flags(extra):
        arguments += ["--chat-template", str(template)]
    return arguments + extra


def _listening_host(runtime: Runtime) -> str:
    host = urlsplit(runtime.base_url).hostname or ""
    return "127.0.0.1" if host == "localhost" else host


def _flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("-")}


def _refuse_twice(extra: list[str]) -> None:
    """What has a setting of its own is not said a second time in VLLM_EXTRA_ARGS."""
    told = {f: s for f, s in FLAG_SETTINGS.items() if getattr(settings.ENV, s)}
    flags = {flag.replace("_", "-") for flag in _flags(extra)}
    for flag, setting in (_OUR_FLAGS | told).items():
        if flag in flags:
            raise BadServerSetting(
                _(
                    "VLLM_EXTRA_ARGS has %(flag)s, which %(setting)s already decides. "
                    "Take it out of VLLM_EXTRA_ARGS."
                )
                % {"flag": flag, "setting": setting},
                setting="VLLM_EXTRA_ARGS",
            )
