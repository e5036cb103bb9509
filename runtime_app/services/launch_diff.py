"""What changes between two launches of a server, named as a person knows it.

Pure. The environment's names as they are, the model and its served name, and each flag
of the argv that differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime_app.choices import RuntimeKind
from runtime_app.models import Runtime
from runtime_app.runtimes.control import Launch
from venom_site.lib.logging import without_secrets

ACTIVE_MODEL = {
    RuntimeKind.VLLM.value: "VLLM_ACTIVE_MODEL",
    RuntimeKind.OLLAMA.value: "OLLAMA_ACTIVE_MODEL",
}
_OWN_LINES = frozenset({"--served-model-name", "--model"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line: what a name stands for now and afterwards; "" is unset."""

    name: str
    before: str
    after: str


def changed(runtime: Runtime, before: Launch | None, after: Launch) -> list[Change]:
    """Only what differs; everything where the server was never started by us."""
    old = _named(runtime, before) if before else {}
    new = _named(runtime, after)
    return [
        Change(name=name, before=old.get(name, ""), after=new.get(name, ""))
        for name in dict.fromkeys((*new, *old))
        if old.get(name, "") != new.get(name, "")
    ]


def _named(runtime: Runtime, launch: Launch) -> dict[str, str]:
    told: dict[str, str] = {}
    if launch.served_name:
        told["served name"] = launch.served_name
    if launch.model:
        told["folder"] = launch.model
    environment = {k: without_secrets(v) for k, v in launch.environment.items()}
    return told | environment | _flags(launch.argv)


def _flags(argv: tuple[str, ...]) -> dict[str, str]:
    """`--flag value` and `--flag=value`; a flag alone is «on»."""
    found: dict[str, str] = {}
    for position, word in enumerate(argv):
        if not word.startswith("--"):
            continue
        name, _sign, value = word.partition("=")
        following = argv[position + 1] if position + 1 < len(argv) else ""
        if not value:
            value = following if not following.startswith("-") and following else "on"
        if name not in _OWN_LINES:
            found[name] = without_secrets(value)
    return found
