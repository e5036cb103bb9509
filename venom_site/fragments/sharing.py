"""Each fragment is drawn once per event, language and permission set, for all sockets
of this process that show it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import lru_cache

from django.utils import translation

from runtime_app.governance.callers import Caller
from venom_site.fragments.parts import Event
from venom_site.fragments.table import Change
from venom_site.lib.offloop import off_loop
from venom_site.shell import Can

MOST_KEPT = 512


class Shared:
    """The last fragments; who asks for one that is being drawn waits for it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], asyncio.Task[str]] = OrderedDict()

    async def html(self, change: Change, event: Event, caller: Caller) -> str:
        """The fragment as this caller may see it; empty when there is nothing."""
        rights = caller.principal.permission_set
        name = (event["id"], change.key, caller.language, rights)
        task = self._kept.get(name)
        if task is None:
            drawing = off_loop(_draw, change, event, caller)
            task = self._kept[name] = asyncio.ensure_future(drawing)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        # One socket that leaves must not take the fragment from the others.
        return await asyncio.shield(task)


def _draw(change: Change, event: Event, caller: Caller) -> str:
    with translation.override(caller.language):
        return change.draw(event, Can(caller.principal))


@lru_cache(maxsize=1)
def shared() -> Shared:
    return Shared()
