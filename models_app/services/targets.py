"""The keys under which operations exclude and queue each other, in one place.

`*_target` goes into `Operation.target_key` (unique while open: a second wish joins or
is refused), `*_lock` into `lock_key` (unique while running: the others wait).
"""

from __future__ import annotations

from models_app.models import Node


def model_target(node: Node, provider: str, name: str) -> str:
    """Install, remove and verify of one model exclude each other."""
    return f"{node.name}|model|{provider}/{name.lower()}"


def activation_target(node: Node) -> str:
    """One activation of a node at a time."""
    return f"{node.name}|activation"


def memory_target(node: Node, runtime: str, name: str) -> str:
    """Load and unload of one model; an empty name stands for all of them."""
    return f"{node.name}|memory|{runtime}/{name.lower()}"


def server_target(node: Node, runtime: str) -> str:
    """Start, stop and restart of one server exclude each other."""
    return f"{node.name}|server|{runtime}"


def trial_target(node: Node, runtime: str, name: str) -> str:
    """One trial of a model at a time."""
    return f"{node.name}|trial|{runtime}/{name.lower()}"


def runtimes_lock(node: Node) -> str:
    """Whatever starts, stops, loads, unloads or switches runs one at a time."""
    return f"{node.name}|runtimes"
