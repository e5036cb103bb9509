"""Opaque cursors of keyset lists: the place after which the next page begins.

Lists are ordered by `-created_at, -id`; a cursor is that pair in URL-safe base64.
Callers hand back what they got and never look inside.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _

from venom_site.lib.errors import BadRequest

_LONGEST = 200


class Place(NamedTuple):
    """The last row of a page."""

    created_at: datetime
    pk: UUID


def encode(created_at: datetime, pk: UUID) -> str:
    text = f"{created_at.isoformat()}|{pk}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """The place that `encode` wrote down; `BadRequest` for anything else."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        moment, _separator, pk = text.partition("|")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError("without a time zone")
        place = Place(created_at.astimezone(UTC), UUID(pk))
    except (ValueError, OverflowError, binascii.Error):
        message = _("This is not a cursor of this list. Start again without one.")
        raise BadRequest(
            message, errors=[{"loc": "query.cursor", "message": message}]
        ) from None
    return place
