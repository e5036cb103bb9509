"""JSON calls of this noun."""

from __future__ import annotations

from ninja import Router

router = Router()
