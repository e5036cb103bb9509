"""When something that ends requests begins: now, or once nobody asks any more."""

from __future__ import annotations

from django.utils.translation import gettext as _

from venom_site.lib.errors import InvalidBody

NOW = "now"
WHEN_IDLE = "idle"  # once no request runs on what is to end


def refuse_unknown_when(when: str) -> None:
    """Raises `InvalidBody`."""
    if when not in {NOW, WHEN_IDLE}:
        raise InvalidBody(
            _("“When” is “now” or “idle”."),
            errors=[{"loc": "body.when", "message": "must be now or idle"}],
        )
