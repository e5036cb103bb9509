"""What the button «Refresh» answers without a script: the page anew, with a word.

With a script the part that comes back says itself that its source was asked only just
before; a page that a redirect leads to no longer knows of the wish.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from models_app.services.kept_answers import Kept


def tell_if_too_soon(request: HttpRequest, label: str, kept: Kept) -> None:
    """On the next page, in the words of `_catalog_freshness.html`."""
    if kept.asked_seconds_ago is None:
        return
    words = _("checked %(seconds)s s ago, asked again at most every %(pause)s s") % {
        "seconds": kept.asked_seconds_ago,
        "pause": kept.pause_seconds,
    }
    messages.info(request, f"{label}: {words}")
