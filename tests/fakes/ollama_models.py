"""What a model of the practice Ollama is, and how its name is written.

`ollama_catalogue.py` holds the ones that can be pulled, `ollama_manifests.py` derives
layers and digest from one, `ollama_shapes.py` prints it as the read endpoints do.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

# Ollama's grammar of names: [host/][namespace/]model[:tag].
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}"
NAME = re.compile(
    rf"^(?:[A-Za-z0-9_][A-Za-z0-9_.\-:]{{0,349}}/)?"
    rf"(?:[A-Za-z0-9_][A-Za-z0-9_\-]{{0,79}}/)?{_PART}(?::{_PART})?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeModel:
    """One model; sizes in bytes, lengths in tokens or numbers.

    `weights` names its big layer: two tags with the same weights share the blob.
    A higher `revision` is a newer version under the same tag.
    """

    name: str
    family: str = "llama"
    parameter_size: str = "3.2B"
    parameter_count: int = 3_212_749_888
    quantization: str = "Q4_K_M"
    size_bytes: int = 2_019_393_189
    context_length: int = 131_072
    embedding_length: int = 3072
    capabilities: tuple[str, ...] = ("completion",)
    weights: str = ""
    revision: int = 1
    has_tensor_layers: bool = False
    remote_host: str = ""
    remote_model: str = ""
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def key(self) -> str:
        """What it is kept under: Ollama compares names without regard to case."""
        return self.name.lower()


def full_name(name: str) -> str:
    """Return the name as the server prints it: short, and always with a tag."""
    short = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"
