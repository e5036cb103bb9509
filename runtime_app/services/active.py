"""What is active now, as payload (CONTRACT §6) and as the chip of every page."""

from __future__ import annotations

from typing import Any


def chip() -> dict[str, Any]:
    return {"state": "none"}
