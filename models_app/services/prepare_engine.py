"""Does vLLM run what the model is, and on this machine? Pure checks.

Each gives a finding, or None where it has nothing to say. Reasons and limits are those
of vLLM 0.33 (`prepare_architectures.py`).
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_app.services import prepare_architectures as known
from models_app.services.fit_room import Machine
from models_app.services.prepare_checks import Check, Wish, is_model, refused
from models_app.services.prepare_facts import Facts

PLAIN = "none"  # no quantization
BF16 = "bfloat16"


def gpu(facts: Facts, wish: Wish, machine: Machine) -> Check:
    """The one that vLLM takes, the largest."""
    found = machine.one_gpu
    if found is None:
        return Check(
            name="gpu",
            verdict="warning",
            message=_("This machine has no GPU, so that it runs in memory, slowly."),
            remedy=_("Use a CPU build of vLLM, or Ollama."),
        )
    words = {"gpu": found.name, "least": _dotted(known.WHEEL_CAPABILITY)}
    if found.capability is not None and found.capability < known.WHEEL_CAPABILITY:
        return refused(
            "gpu",
            _("%(gpu)s is older than compute capability %(least)s.") % words,
            _("Use Ollama, or a build of vLLM made for this GPU."),
        )
    message = _("vLLM would use %(gpu)s.") % words
    return Check(name="gpu", verdict="ok", message=message)


def architecture(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if not is_model(facts):
        return None
    named = ", ".join(facts.architectures)
    words = {"name": named, "source": known.SOURCE}
    if not facts.architectures:
        return refused(
            "architecture",
            _("config.json names no architecture, so vLLM would not start."),
            _("Choose another model."),
        )
    if known.NATIVE.intersection(facts.architectures):
        message = _("%(source)s runs %(name)s itself.") % words
        return Check(name="architecture", verdict="ok", message=message)
    if known.THROUGH_TRANSFORMERS.intersection(facts.architectures):
        message = _("%(source)s runs %(name)s through transformers.") % words
        return Check(name="architecture", verdict="ok", message=message)
    for name in facts.architectures:
        if version := known.REMOVED.get(name):
            return refused(
                "architecture",
                _("vLLM ran %(name)s until version %(version)s and no longer.")
                % {"name": name, "version": version},
                _("Choose a newer model of this family."),
            )
    return Check(
        name="architecture",
        verdict="warning",
        message=_("%(name)s is not on the list of %(source)s that we know.") % words,
        remedy=_("vLLM will try it through transformers; its start tells."),
    )


def code(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if not facts.has_code:
        return None
    if known.NATIVE.intersection(facts.architectures):
        return Check(
            name="code",
            verdict="ok",
            message=_("It brings code of its own, which vLLM does not need."),
        )
    if wish.trusts_code:
        return Check(
            name="code",
            verdict="warning",
            message=_("It runs code of its own on this machine."),
            remedy=_("Read that code, and pin the revision that you have read."),
        )
    return refused(
        "code",
        _("It needs code of its own, which vLLM runs only when told to."),
        _("Read that code; then set VLLM_EXTRA_ARGS=--trust-remote-code."),
    )


def quantization(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if not is_model(facts):
        return None
    wanted = wish.quantization or facts.method
    if not wanted:
        message = _("Its weights are not quantized.")
        return Check(name="quantization", verdict="ok", message=message)
    if facts.method and not known.same_family(wanted, facts.method):
        return refused(
            "quantization",
            _("Its weights are quantized as %(has)s, not as %(wanted)s.")
            % {"has": facts.method, "wanted": wanted},
            _("Leave the quantization out, or choose another variant."),
            mend=wanted if _runs(wanted, machine) else "",
        )
    plain = "" if wish.quantization else PLAIN  # what a conversion would leave of it
    table = known.METHODS if facts.method else known.ONLINE
    if wanted not in table:
        return _unknown_method(wanted, facts, machine, plain)
    arguments = () if facts.method else ("--quantization", wanted)
    return _capable(wanted, table[wanted], machine, arguments, plain)


def _runs(method: str, machine: Machine) -> bool:
    """Whether weights that are stored so would load here, as far as that is known."""
    least = known.METHODS.get(method)
    has = machine.one_gpu.capability if machine.one_gpu else None
    return least is not None and (has is None or has >= least)


def _unknown_method(wanted: str, facts: Facts, machine: Machine, plain: str) -> Check:
    words = {"name": wanted, "source": known.SOURCE}
    if wanted in known.METHODS:
        return refused(
            "quantization",
            _("vLLM does not quantize to %(name)s while it loads.") % words,
            _("Install a variant that was quantized so already."),
            mend=wanted if _runs(wanted, machine) else "",
        )
    if wanted in known.GONE_METHODS:
        return refused(
            "quantization",
            _("vLLM no longer reads %(name)s.") % words,
            _("Choose a variant in AWQ, GPTQ or FP8, or without quantization."),
            mend=plain,
        )
    return refused(
        "quantization",
        _("%(source)s knows no quantization called %(name)s.") % words,
        _("Choose a variant in AWQ, GPTQ or FP8, or without quantization.")
        if facts.method
        else _("Use one of: %(names)s.") % {"names": ", ".join(sorted(known.ONLINE))},
        mend=plain,
    )


def _capable(
    method: str,
    least: tuple[int, int],
    machine: Machine,
    arguments: tuple[str, ...],
    mend: str,
) -> Check:
    """What the GPU must be for it; the one that vLLM takes decides."""
    gpu = machine.one_gpu
    words = {"method": method, "least": _dotted(least)}
    if gpu is None:
        return Check(
            name="quantization",
            verdict="warning",
            message=_("Without a GPU only some builds of vLLM read %(method)s.")
            % words,
            remedy=_("Its start tells; a variant without quantization is safe."),
            arguments=arguments,
        )
    if gpu.capability is None:
        return Check(
            name="quantization",
            verdict="warning",
            message=_(
                "%(method)s needs a GPU of compute capability %(least)s; the driver "
                "does not say which this one has."
            )
            % words,
            arguments=arguments,
        )
    words |= {"gpu": gpu.name, "has": _dotted(gpu.capability)}
    if gpu.capability < least:
        return refused(
            "quantization",
            _("%(method)s needs compute capability %(least)s; %(gpu)s has %(has)s.")
            % words,
            _("Choose a variant that is not quantized, or Ollama with GGUF."),
            mend=mend,
        )
    fast = known.FAST_FROM.get(method)
    if fast and gpu.capability < fast:
        return Check(
            name="quantization",
            verdict="warning",
            message=_("%(method)s saves memory on %(gpu)s, but no time.") % words,
            arguments=arguments,
        )
    message = _("%(gpu)s runs %(method)s.") % words
    return Check(
        name="quantization", verdict="ok", message=message, arguments=arguments
    )


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def dtype(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if not is_model(facts):
        return None
    wanted = known.DTYPES.get(wish.dtype)
    if wanted is None:
        return refused(
            "dtype",
            _("vLLM knows no type of numbers called %(name)s.") % {"name": wish.dtype},
            _("Use one of: %(names)s.") % {"names": ", ".join(known.DTYPES)},
        )
    is_chosen = wanted != "auto"
    used = wanted if is_chosen else _automatic(facts.dtype)
    chosen = ("--dtype", used) if is_chosen else ()
    if used == "float16" and facts.model_type in known.NO_FLOAT16:
        return refused(
            "dtype",
            _("Models of this family lose their numbers in float16."),
            _("Use bfloat16, or float32 where the GPU has no bfloat16."),
            mend="" if is_chosen else BF16,
        )
    if used == "bfloat16" and _lacks_bfloat16(machine):
        return _instead(facts, is_chosen=is_chosen)
    message = _("Its numbers are %(dtype)s.") % {"dtype": used or _("as its files say")}
    return Check(name="dtype", verdict="ok", message=message, arguments=chosen)


def _automatic(told: str) -> str:
    """vLLM's own choice: 32 bits are lowered to 16."""
    return "float16" if told == "float32" else told


def _lacks_bfloat16(machine: Machine) -> bool:
    gpu = machine.one_gpu
    capability = gpu.capability if gpu else None
    return capability is not None and capability < known.BFLOAT16_CAPABILITY


def _instead(facts: Facts, *, is_chosen: bool) -> Check:
    """What to use on a GPU without bfloat16 (before Ampere, 8.0)."""
    other = "float32" if facts.model_type in known.NO_FLOAT16 else "float16"
    message = _("This GPU has no bfloat16, which needs compute capability 8.0.")
    remedy = _("Use %(other)s.") % {"other": other}
    if is_chosen:
        return refused("dtype", message, remedy)
    return Check(
        name="dtype",
        verdict="warning",
        message=message,
        remedy=_("It is started with %(other)s instead.") % {"other": other},
        arguments=("--dtype", other),
    )


def context(facts: Facts, wish: Wish, machine: Machine) -> Check | None:
    if not is_model(facts):
        return None
    longest, wanted = facts.context_length, wish.context
    words = {"longest": longest, "wanted": wanted}
    if longest is None:
        return Check(
            name="context",
            verdict="warning",
            message=_("Its files do not say how long a context it takes."),
            remedy=_("Set VLLM_MAX_MODEL_LEN."),
        )
    if wanted and wanted > longest:
        return refused(
            "context",
            _("VLLM_MAX_MODEL_LEN is %(wanted)s, but it takes %(longest)s tokens.")
            % words,
            _("Set VLLM_MAX_MODEL_LEN to %(longest)s or less.") % words,
        )
    message = _("It takes up to %(longest)s tokens.") % words
    return Check(name="context", verdict="ok", message=message)
