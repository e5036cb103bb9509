"""What narrows a list of models, from the words of a query string to a condition.

Used by `model_lists.py`. Only what the rows know by themselves: what a server holds in
memory is the upper floor's, and so is not filtered by here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from models_app.choices import ListState, ModelStatus

UNUSED_FOR = timedelta(days=30)
_STATES = {
    ListState.ACTIVE: Q(is_active=True),
    ListState.INSTALLED: Q(
        status=ModelStatus.INSTALLED, is_active=False, is_changing=False
    ),
    ListState.CHANGING: Q(is_changing=True),
    ListState.BROKEN: Q(status=ModelStatus.BROKEN),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """`state` is a word of `ListState`, `order` one of `ListOrder`; nothing given is
    everything, in the order in which people look for it. `fits` asks for what runs
    well here, which `fitting` names once somebody has judged it."""

    query: str = ""
    provider: str = ""
    family: str = ""
    state: str = ""
    unused: bool = False
    fits: bool = False
    fitting: frozenset[UUID] = frozenset()
    order: str = ""

    @property
    def is_set(self) -> bool:
        return self != ModelFilter()

    @property
    def condition(self) -> Q:
        """For rows that have `is_active` and `is_changing`; empty for everything."""
        given = {"provider": self.provider, "family": self.family}
        found = Q(name__icontains=self.query) if self.query else Q()
        found &= Q(**{name: value for name, value in given.items() if value})
        if self.unused:
            found &= _unused()
        if self.fits:
            found &= Q(pk__in=self.fitting)
        return found & _STATES[ListState(self.state)] if self.state else found

    def finds_coming(self, name: str, provider: str) -> bool:
        """Of what is only on its way little is known yet."""
        if self.family or self.unused or self.fits:
            return False
        if self.state not in ("", ListState.CHANGING):
            return False
        is_named = self.query.lower() in name.lower()
        return is_named and self.provider in ("", provider)


def _unused() -> Q:
    """A model that came yesterday and was never used is not an unused one yet."""
    limit = timezone.now() - UNUSED_FOR
    never_used = Q(last_used_at__isnull=True, installed_at__lt=limit)
    return Q(last_used_at__lt=limit) | never_used
