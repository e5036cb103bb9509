"""The node this process runs on."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from models_app.models import Node


def this_node() -> Node:
    """The row of VENOM_NODE, made when it is missing."""
    node, _ = Node.objects.get_or_create(name=settings.NODE)
    return node


def mark_seen() -> None:
    """Called by this node's worker with every sweep."""
    Node.objects.update_or_create(
        name=settings.NODE, defaults={"last_seen_at": timezone.now()}
    )
