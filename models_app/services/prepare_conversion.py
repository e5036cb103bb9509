"""Whether `VLLM_PREPARE_COMMAND` could make a model into one that vLLM loads, and into
what. Pure but for the store's free room; carried out by `converting.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from models_app.choices import ModelStatus, ProviderName
from models_app.models import InstalledModel, Operation
from models_app.providers.registry import own_store
from models_app.services.prepare_checks import Check, Wish
from models_app.services.prepare_engine import PLAIN
from models_app.services.storage import Shortage, shortage, storage_of
from models_app.services.targets import model_target
from venom_site.lib.errors import Conflict
from venom_site.lib.names import COMMIT_DIGITS, is_of_commit, short_revision
from venom_site.lib.units import size_text

AUTO = "auto"
# How much larger weights may become: 4 bits unpacked to 16, 16 bits widened to 32.
UNPACKED, WIDENED = 4, 2


class NotConvertible(Conflict):
    """There is nothing that a conversion would mend, or it cannot be started."""

    code = "not_convertible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What the command is told: `dtype` and `quantization` as it gets them. `revision`
    is that of the new folder; `wish` what was asked for, against which it is proved."""

    model: InstalledModel
    revision: str
    dtype: str
    quantization: str
    needed_bytes: int
    wish: dict[str, str] = field(default_factory=dict)

    def plan(self) -> tuple[str, ...]:
        words = {"name": self.model.name, "short": short_revision(self.revision)}
        return (
            _("Convert “%(name)s” by the command of VLLM_PREPARE_COMMAND.") % words,
            _("Prove what came out, and list it as revision %(short)s.") % words,
        )

    def effects(self) -> tuple[str, ...]:
        folder = own_store().folder(self.model.name, self.revision)
        return (
            _("A new folder comes beside the old one: %(name)s.")
            % {"name": folder.name},
            _("About %(size)s on the disk are needed for it.")
            % {"size": size_text(self.needed_bytes)},
            _("The model as it is stays."),
        )


def conversion_of(
    model: InstalledModel, checks: tuple[Check, ...], wish: Wish, asked: dict[str, str]
) -> tuple[Conversion | None, str]:
    """None where a conversion would not help; else what stands against it, in a
    sentence, empty when it can start."""
    mends = {check.name: check.mend for check in checks if check.mend}
    if not mends or any(not check.ok and not check.mend for check in checks):
        return None, ""
    found = _conversion(model, mends, wish, asked)
    return found, _obstacle(found)


def _conversion(
    model: InstalledModel, mends: dict[str, str], wish: Wish, asked: dict[str, str]
) -> Conversion:
    dtype = mends.get("dtype", wish.dtype)
    factor = UNPACKED if mends.get("quantization") == PLAIN else 1
    if dtype in {"float", "float32"}:
        factor *= WIDENED
    return Conversion(
        model=model,
        revision=f"{model.revision[:COMMIT_DIGITS]}-{_suffix(mends)}",
        dtype=dtype,
        quantization=mends.get("quantization", AUTO),
        needed_bytes=(model.size_bytes or 0) * factor,
        wish=asked,
    )


def _suffix(mends: dict[str, str]) -> str:
    """`safetensors`, `awq`, `plain-bfloat16`: what is another than before."""
    told = (mends.get(name, "") for name in ("weights", "quantization", "dtype"))
    named = ["plain" if each == PLAIN else each for each in told if each]
    if len(named) > 1:
        named = [each for each in named if each != "safetensors"]
    return re.sub(r"[^a-z0-9_]+", "-", "-".join(named).lower()).strip("-_")[:58]


def _obstacle(found: Conversion) -> str:
    model = found.model
    words = {"name": model.name, "short": short_revision(found.revision)}
    is_ours = model.provider == ProviderName.HUGGINGFACE and not model.is_foreign
    if not is_ours or not is_of_commit(model.revision):
        return (
            _(
                "A conversion would help, but “%(name)s” does not lie in our own "
                "store. Install it here first."
            )
            % words
        )
    if model.status != ModelStatus.INSTALLED:
        return _("A conversion would help, but its files are not whole.")
    made = InstalledModel.objects.versions_of(model).filter(revision=found.revision)
    if made.filter(status=ModelStatus.INSTALLED).exists():
        return _("It was converted already: use its revision %(short)s.") % words
    lacking = lacking_room(found)
    if lacking is not None:
        return _("Converting it needs %(needed)s; %(free)s are left.") % {
            "needed": size_text(lacking.needed_bytes),
            "free": size_text(lacking.free_bytes),
        }
    return ""


def lacking_room(found: Conversion) -> Shortage | None:
    """What quota or disk lack for it; who asks for the same again shares its room."""
    model = found.model
    target = model_target(model.node, model.provider, model.name)
    storage = storage_of(
        model.node,
        provider=model.provider,
        without=Operation.objects.open().filter(target_key=target).first(),
        fetching=(model.name.lower(), found.revision),
    )
    return shortage(storage, found.needed_bytes)
