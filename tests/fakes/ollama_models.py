"""The models a practice Ollama can have, in the shapes of its read endpoints.

`ollama_state.py` keeps them, the endpoints print them. A name outside the small
library becomes a plain three-billion llama, so any name can be "installed".
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

# Ollama's grammar of names: [host/][namespace/]model[:tag].
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}"
NAME = re.compile(
    rf"^(?:[A-Za-z0-9_][A-Za-z0-9_.\-:]{{0,349}}/)?"
    rf"(?:[A-Za-z0-9_][A-Za-z0-9_\-]{{0,79}}/)?{_PART}(?::{_PART})?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeModel:
    """One installed model; sizes in bytes, lengths in tokens or numbers."""

    name: str
    family: str = "llama"
    parameter_size: str = "3.2B"
    parameter_count: int = 3_212_749_888
    quantization: str = "Q4_K_M"
    size_bytes: int = 2_019_393_189
    context_length: int = 131_072
    embedding_length: int = 3072
    capabilities: tuple[str, ...] = ("completion",)
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def details(self, *, with_lengths: bool = False) -> dict[str, Any]:
        details: dict[str, Any] = {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameter_size,
            "quantization_level": self.quantization,
        }
        if with_lengths:
            details["context_length"] = self.context_length
            details["embedding_length"] = self.embedding_length
        return details

    def as_tag(self, *, modern: bool) -> dict[str, Any]:
        """Return the row of /api/tags; only modern servers name capabilities."""
        tag: dict[str, Any] = {
            "name": self.name,
            "model": self.name,
            "modified_at": self.modified_at.isoformat(),
            "size": self.size_bytes,
            "digest": self.digest,
            "details": self.details(with_lengths=modern),
        }
        if modern:
            tag["capabilities"] = list(self.capabilities)
        return tag

    def as_show(self, *, verbose: bool) -> dict[str, Any]:
        """Return the answer of /api/show; tensors come with `verbose` only."""
        tensor = {"name": "token_embd.weight", "type": "Q4_K", "shape": [3072, 128256]}
        return {
            "license": "A practice licence: this model has no weights.",
            "modelfile": f"# Modelfile of a practice model\nFROM {self.name}\n",
            "parameters": f'{"num_ctx":<30} 4096\n{"stop":<30} "<|eot_id|>"',
            "template": "{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}",
            "details": self.details(with_lengths=True),
            "model_info": self._model_info(verbose),
            **({"tensors": [tensor]} if verbose else {}),
            "capabilities": list(self.capabilities),
            "modified_at": self.modified_at.isoformat(),
        }

    def _model_info(self, verbose: bool) -> dict[str, Any]:
        family = self.family
        return {
            "general.architecture": family,
            "general.file_type": 15,
            "general.parameter_count": self.parameter_count,
            "general.quantization_version": 2,
            f"{family}.attention.head_count": 24,
            f"{family}.attention.head_count_kv": 8,
            f"{family}.attention.key_length": 128,
            f"{family}.block_count": 28,
            f"{family}.context_length": self.context_length,
            f"{family}.embedding_length": self.embedding_length,
            f"{family}.feed_forward_length": 8192,
            "tokenizer.ggml.model": "gpt2",
            # Without verbose, arrays longer than five come back empty.
            "tokenizer.ggml.tokens": [f"<{n}>" for n in range(6)] if verbose else [],
        }


def full_name(name: str) -> str:
    """Return the name as the server prints it: short, and always with a tag."""
    short = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


LIBRARY = {
    model.name: model
    for model in (
        PracticeModel(
            name="gemma3:4b",
            family="gemma3",
            parameter_size="4.3B",
            parameter_count=4_299_915_632,
            size_bytes=3_338_801_804,
            embedding_length=2560,
            capabilities=("completion", "vision"),
        ),
        PracticeModel(
            name="phi3:mini",
            family="phi3",
            parameter_size="3.8B",
            parameter_count=3_821_079_648,
            quantization="Q4_0",
            size_bytes=2_176_178_913,
        ),
        PracticeModel(
            name="qwen3:0.6b",
            family="qwen3",
            parameter_size="751.63M",
            parameter_count=751_632_384,
            size_bytes=522_653_767,
            context_length=40_960,
            embedding_length=1024,
            capabilities=("completion", "tools", "thinking"),
        ),
        PracticeModel(name="llama3.2:3b", capabilities=("completion", "tools")),
        PracticeModel(
            name="nomic-embed-text:latest",
            family="nomic-bert",
            parameter_size="137M",
            parameter_count=136_727_040,
            quantization="F16",
            size_bytes=274_302_450,
            context_length=2048,
            embedding_length=768,
            capabilities=("embedding",),
        ),
    )
}


def make_model(name: str) -> PracticeModel:
    """Return the model as if it had been pulled now, under its full name."""
    known = LIBRARY.get(full_name(name), PracticeModel(name=full_name(name)))
    return replace(known, modified_at=datetime.now(UTC))
