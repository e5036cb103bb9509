"""`prepare_for_vllm`: before a model is activated, what stands in its way.

Changes nothing. Findings come from `prepare_files.py` and `prepare_engine.py`, whether
it fits from `fit.py`; here they become an action, a plan and what follows from it.
Where a command for conversions is set, `prepare_conversion.py` says whether it would
help; `convert.py` starts it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.utils.translation import gettext as _

from models_app.choices import PROVIDER_RUNTIMES, ProviderName
from models_app.models import InstalledModel
from models_app.providers.catalogue import Details
from models_app.providers.folders import read_folder, reading_of
from models_app.services import (
    catalog,
    prepare_conversion,
    prepare_engine,
    prepare_files,
    registry,
)
from models_app.services.complaints import can_convert
from models_app.services.figures import figures_of, measured_of
from models_app.services.fit import Fit, judge
from models_app.services.machine import Machine, read_machine
from models_app.services.prepare_checks import Check, Wish
from models_app.services.prepare_conversion import Conversion
from models_app.services.prepare_facts import (
    Facts,
    facts_of_details,
    facts_of_folder,
)
from venom_site.lib.errors import IncompatibleRuntime, InvalidBody, NotFound

VLLM = "vllm"
Action = Literal["none", "convert", "refuse"]
CHECKS: tuple[Callable[[Facts, Wish, Machine], Check | None], ...] = (
    prepare_files.access,
    prepare_files.config,
    prepare_files.weights,
    prepare_engine.architecture,
    prepare_engine.code,
    prepare_engine.gpu,
    prepare_engine.quantization,
    prepare_engine.dtype,
    prepare_engine.context,
    prepare_files.tokenizer,
    prepare_files.template,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """`arguments` are what vLLM must be started with beside the model itself; `plan`
    and `effects` are sentences for people. `conversion` is there exactly when the
    action is `convert`."""

    checks: tuple[Check, ...]
    fit: Fit
    action: Action
    plan: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    conversion: Conversion | None = None


def prepare(
    name: str,
    *,
    runtime: str,
    provider: str | None = None,
    revision: str = "",
    dtype: str = "",
    quantization: str = "",
) -> Preparation:
    """Of a model that is installed, or that a catalogue lists.

    Raises `NotFound` for one that is neither, `IncompatibleRuntime`, `OutsideProfile`,
    `AmbiguousName`, or what the catalogue refused with.
    """
    if runtime not in PROVIDER_RUNTIMES.values():
        known = ", ".join(PROVIDER_RUNTIMES.values())
        message = _("must be one of %(names)s") % {"names": known}
        raise InvalidBody(errors=[{"loc": "body.runtime", "message": message}])
    provider = provider or _of_runtime(runtime)
    refuse_other_runtime(provider, runtime)
    try:
        model = registry.find_installed(name, provider, revision)
    except NotFound:
        if provider != ProviderName.HUGGINGFACE or revision:
            raise
        details, _kept = catalog.details_of(provider, name)
        return prepare_for_vllm(
            details, machine=read_machine(), dtype=dtype, quantization=quantization
        )
    return prepare_installed(model, dtype=dtype, quantization=quantization)


def prepare_installed(
    model: InstalledModel, *, dtype: str = "", quantization: str = ""
) -> Preparation:
    """For the one runtime that runs it."""
    machine = read_machine()
    if model.runtime != VLLM:
        return _as_it_is(model, machine)
    found = prepare_for_vllm(
        Path(model.path),
        machine=machine,
        name=model.name,
        dtype=dtype,
        quantization=quantization,
        measured=measured_of(model),
    )
    asked = {"dtype": dtype, "quantization": quantization}
    return _with_conversion(found, model, machine, asked)


def _with_conversion(
    found: Preparation, model: InstalledModel, machine: Machine, asked: dict[str, str]
) -> Preparation:
    if not can_convert() or _is_too_big(found.fit, machine):
        return found
    conversion, obstacle = prepare_conversion.conversion_of(
        model, found.checks, _wish(**asked), asked
    )
    if conversion is None:
        return found
    if obstacle:
        return replace(found, effects=(*found.effects, obstacle))
    return replace(
        found,
        action="convert",
        plan=conversion.plan(),
        effects=conversion.effects(),
        arguments=(),
        conversion=conversion,
    )


def _of_runtime(runtime: str) -> str:
    return next(
        provider for provider, right in PROVIDER_RUNTIMES.items() if right == runtime
    )


def _as_it_is(model: InstalledModel, machine: Machine) -> Preparation:
    """Ollama keeps its models in its own form: there is nothing to prepare."""
    found = Check(
        name="runtime",
        verdict="ok",
        message=_("Ollama runs its models as it keeps them."),
    )
    fit = judge(
        figures_of(model),
        machine,
        runtime=model.runtime,
        size_bytes=model.size_bytes,
        measured=measured_of(model),
        is_here=True,
    )
    refuses = _is_too_big(fit, machine)
    return Preparation(checks=(found,), fit=fit, action="refuse" if refuses else "none")


def prepare_for_vllm(
    source: Path | Details,
    *,
    machine: Machine,
    name: str = "",
    dtype: str = "",
    quantization: str = "",
    measured: tuple[int, int] | None = None,
) -> Preparation:
    """Of a folder that is here, or of what a catalogue tells of a model that is not.

    `name` is what sentences call it, else its folder. `dtype` and `quantization` as
    vLLM's own options, empty for what is set or stored.
    A folder with a chat template starts a process (0.15 s). Never raises for what a
    stranger wrote.
    """
    facts = _facts(source)
    facts = replace(facts, place=name or facts.place)
    wish = _wish(dtype, quantization)
    found = (check(facts, wish, machine) for check in CHECKS)
    checks = tuple(check for check in found if check is not None)
    fit = judge(
        facts.figures,
        machine,
        runtime=VLLM,
        context=wish.context,
        size_bytes=facts.size_bytes,
        measured=measured,
        is_here=facts.is_here,
    )
    return _judged(facts, checks, fit, machine)


def _facts(source: Path | Details) -> Facts:
    if isinstance(source, Details):
        return facts_of_details(source)
    folder = read_folder(source)
    return facts_of_folder(folder, reading_of(folder))


def _wish(dtype: str, quantization: str) -> Wish:
    env = settings.ENV
    return Wish(
        dtype=(dtype or env.VLLM_DTYPE or "auto").lower(),
        quantization=quantization.lower(),
        context=env.VLLM_MAX_MODEL_LEN,
        trusts_code="--trust-remote-code" in _words(env.VLLM_EXTRA_ARGS),
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _judged(
    facts: Facts, checks: tuple[Check, ...], fit: Fit, machine: Machine
) -> Preparation:
    refused = any(not check.ok for check in checks) or _is_too_big(fit, machine)
    if refused:
        return Preparation(checks=checks, fit=fit, action="refuse")
    arguments = tuple(word for check in checks for word in check.arguments)
    if fit.verdict == "tight" and fit.longest_context:
        arguments += ("--max-model-len", str(fit.longest_context))
    return Preparation(
        checks=checks,
        fit=fit,
        action="none",
        plan=tuple(_plan(facts, arguments)),
        effects=tuple(_effects(fit, arguments, machine)),
        arguments=arguments,
    )


def _is_too_big(fit: Fit, machine: Machine) -> bool:
    """Without a GPU what does not fit is a warning: memory is shared and estimated."""
    return fit.verdict == "too_big" and not fit.is_busy and bool(machine.gpus)


def _plan(facts: Facts, arguments: tuple[str, ...]) -> list[str]:
    words = {"name": facts.place, "arguments": shlex.join(arguments)}
    steps = [] if facts.is_here else [_("Install %(name)s.") % words]
    if steps and facts.weights == "pickle":
        return [*steps, _("Convert it then: ask this again of what is installed.")]
    if arguments:
        return [*steps, _("Start vLLM on %(name)s with %(arguments)s.") % words]
    return [*steps, _("Start vLLM on %(name)s as it is.") % words]


def _effects(fit: Fit, arguments: tuple[str, ...], machine: Machine) -> list[str]:
    effects = [_("Its files stay as they are.")]
    if "--quantization" in arguments:
        effects.append(
            _("Its weights are rounded while they load: answers may differ a little.")
        )
    if "--max-model-len" in arguments:
        effects.append(
            _("Conversations end at %(number)s tokens: more does not fit.")
            % {"number": fit.longest_context}
        )
    if machine.gpus:
        share = round(100 * machine.vllm.gpu_share)
        effects.append(
            _("vLLM takes %(share)s %% of the GPU's memory, whatever the model's size.")
            % {"share": share}
        )
    return effects


def refuse_other_runtime(provider: str, runtime: str) -> None:
    """Each provider's models run on one runtime only; 409 for another."""
    right = PROVIDER_RUNTIMES[provider]
    if runtime != right:
        raise IncompatibleRuntime(
            _("Models of %(provider)s run on “%(right)s”, not on “%(wrong)s”.")
            % {
                "provider": ProviderName(provider).label,
                "right": right,
                "wrong": runtime[:60],
            },
            provider=provider,
            runtime=right,
        )
