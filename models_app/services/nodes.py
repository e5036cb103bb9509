"""The node this process runs on."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from models_app.models import Node
from venom_site.lib.errors import BadRequest

LIVE = timedelta(seconds=60)


def this_node() -> Node:
    """The row of VENOM_NODE, made when it is missing."""
    node, _is_new = Node.objects.get_or_create(name=settings.NODE)
    return node


def node_asked(name: str) -> Node | None:
    """The machine that `?node=` of a call names; None where it names none."""
    if not name:
        return None
    node = Node.objects.filter(name=name).first()
    if node is None:
        known = ", ".join(Node.objects.values_list("name", flat=True))
        message = _("There is no such machine. Known: %(names)s.") % {"names": known}
        raise BadRequest(errors=[{"loc": "query.node", "message": message}])
    return node


def mark_seen() -> None:
    """Called by this node's worker with every sweep."""
    Node.objects.update_or_create(
        name=settings.NODE, defaults={"last_seen_at": timezone.now()}
    )


def live_names() -> list[str]:
    """The nodes whose workers have been seen lately, and always our own."""
    live = Node.objects.filter(last_seen_at__gte=timezone.now() - LIVE)
    return sorted({*live.values_list("name", flat=True), settings.NODE})
