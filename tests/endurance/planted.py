"""Credentials that go in everywhere a careless person could put one, and must come out
nowhere. `Keys` are made by the product; the rest is written here."""

from __future__ import annotations

from dataclasses import dataclass, fields

CORE = "q7Zk2Vx9Lw4Tn8Rb3Mf6Hd1Js5Pg0Yc"
STRANGER = f"venom_{CORE}AbCdEfGhIjK"
FOREIGN = f"sk-proj-{CORE}"
# Of servers; without a form by which a pattern could know them.
LAB_KEY = "lab7Hq2Wm9Zt4Xc1"
QUOTED_KEY = "llama5Rb8Nd3Vj6Kp"
PASSWORD = "Fx3Gz8Qy1Bn6"
PROMPT = f"Ask with {FOREIGN}, password={PASSWORD}, or https://me:{PASSWORD}@host/."


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Of programs; `operator` reads the history afterwards."""

    good: str
    expired: str
    revoked: str
    reader: str
    operator: str


def secrets_of(keys: Keys) -> tuple[bytes, ...]:
    """All that must be found nowhere, each by what is only its own."""
    made = [getattr(keys, field.name) for field in fields(keys)]
    ours = [CORE, LAB_KEY, QUOTED_KEY, PASSWORD]
    return tuple(text.removeprefix("venom_").encode() for text in (*made, *ours))
