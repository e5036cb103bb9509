"""Lines of a catalogue as people see them: what rose, what is here already.

Two queries for any number of lines. Used by pages and API.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from django.conf import settings

from models_app.choices import PROVIDER_RUNTIMES, OperationType, ProviderName
from models_app.models import Operation
from models_app.providers.catalogue import Listed
from models_app.services.catalog import Answer
from models_app.services.catalog_words import size_of, smallest_label
from models_app.services.fit import Fit, Machine, judge
from models_app.services.registry import Key, installed_here


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`change` is by how much it rose since the copy before (0: not at all), None where
    there was none; `installed` are the names under which it lies here; `operation` is
    an install of it that is open. `fit` is judged from the size of its smallest variant
    alone, and None for what runs elsewhere."""

    item: Listed
    rank: int
    change: int | None = None
    is_new: bool = False
    installed: tuple[str, ...] = ()
    operation: Operation | None = None
    fit: Fit | None = None

    @property
    def runtime(self) -> str:
        return PROVIDER_RUNTIMES.get(self.item.provider, "")

    @property
    def judged_by(self) -> str:
        """The variant that `fit` speaks of, where a name has several."""
        return smallest_label(self.item) if len(self.item.sizes) > 1 else ""

    @property
    def fell(self) -> int:
        """By how many places it fell."""
        return max(0, -(self.change or 0))


@dataclass(frozen=True, slots=True)
class Held:
    """What lies here or is coming, by provider and name without tag."""

    installed: dict[Key, list[str]] = field(default_factory=dict)
    coming: dict[Key, Operation] = field(default_factory=dict)


def held_here() -> Held:
    held = Held()
    models = installed_here().order_by("name").values_list("provider", "name")
    for provider, name in models.distinct():
        held.installed.setdefault(_key(provider, name), []).append(name)
    installs = Operation.objects.open().filter(
        node__name=settings.NODE, operation_type=OperationType.INSTALL
    )
    for operation in installs:
        held.coming[_key(operation.provider, operation.model_name)] = operation
    return held


def rows_of(answer: Answer, held: Held, machine: Machine) -> list[Row]:
    places = {name: place for place, name in enumerate(answer.former, start=1)}
    return [
        replace(row, fit=_fit(row, machine))
        for row in (
            _row(item, rank, places, held)
            for rank, item in enumerate(answer.items, start=1)
        )
    ]


def _fit(row: Row, machine: Machine) -> Fit | None:
    if row.item.is_remote:
        return None
    size = size_of(row.item)
    is_here = bool(row.installed)
    return judge(None, machine, runtime=row.runtime, size_bytes=size, is_here=is_here)


def _row(item: Listed, rank: int, places: dict[str, int], held: Held) -> Row:
    former = places.get(item.name)
    key = _key(item.provider, item.name)
    return Row(
        item=item,
        rank=rank,
        change=None if former is None else former - rank,
        is_new=bool(places) and former is None,
        installed=tuple(held.installed.get(key, ())),
        operation=held.coming.get(key),
    )


def _key(provider: str, name: str) -> Key:
    """Ollama's variants are tags of one name; elsewhere a name is one model."""
    if provider == ProviderName.OLLAMA:
        head, slash, last = name.rpartition("/")
        name = head + slash + last.partition(":")[0]
    return provider, name.lower()
