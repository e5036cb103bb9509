"""Layers, config and manifest of a practice model, down to the byte.

The registry serves them, pulls walk through them, and the digest that `/api/tags`
shows is the SHA-256 of these very bytes. Only the weights have no content.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.fakes.ollama_models import PracticeModel

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
IMAGE = "application/vnd.ollama.image."
TEMPLATE = "{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}"
LICENSE = "A practice licence: this model has no weights.\n"
TENSORS = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model; `content` is None where only its size exists."""

    media_type: str
    digest: str
    size_bytes: int
    content: bytes | None = None

    def described(self) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size_bytes,
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Layer
    layers: tuple[Layer, ...]
    raw: bytes
    digest: str  # bare hexadecimal, as /api/tags shows it

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """In the order of a pull: the layers, then the config."""
        return (*self.layers, self.config)

    @property
    def size_bytes(self) -> int:
        return sum(blob.size_bytes for blob in self.blobs)


@lru_cache(maxsize=4096)
def manifest_of(model: PracticeModel) -> Manifest:
    """Return the one manifest that this version of the model has."""
    small = () if model.remote_host else _small_layers(model)
    config = _config(model)
    rest = model.size_bytes - config.size_bytes - sum(s.size_bytes for s in small)
    big = () if model.remote_host else _weights(model, rest)
    layers = (*big, *small)
    raw = _compact(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.described(),
            "layers": [layer.described() for layer in layers],
        }
    )
    return Manifest(config, layers, raw, hashlib.sha256(raw).hexdigest())


def _small_layers(model: PracticeModel) -> tuple[Layer, ...]:
    return (
        _text_layer("template", (TEMPLATE + "\n") * 25),
        _text_layer("license", f"{model.family}: {LICENSE}" * 120),
        _text_layer("params", '{"num_ctx":4096,"stop":["<|eot_id|>"]}'),
    )


def _weights(model: PracticeModel, size_bytes: int) -> tuple[Layer, ...]:
    kind, parts = ("tensor", TENSORS) if model.has_tensor_layers else ("model", 1)
    share = size_bytes // parts
    sizes = [*[share] * (parts - 1), size_bytes - share * (parts - 1)]
    source = f"{model.weights or model.name}/{model.revision}"
    return tuple(
        Layer(IMAGE + kind, _digest(f"{source}/{place}".encode()), size)
        for place, size in enumerate(sizes)
    )


def _config(model: PracticeModel) -> Layer:
    content: dict[str, Any] = {
        "model_format": "safetensors" if model.has_tensor_layers else "gguf",
        "model_family": model.family,
        "model_families": [model.family],
        "model_type": model.parameter_size,
        "file_type": model.quantization,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
        "capabilities": list(model.capabilities),
        "context_length": model.context_length,
    }
    if model.remote_host:
        content["remote_host"] = model.remote_host
        content["remote_model"] = model.remote_model
    return _layer(CONFIG_TYPE, _compact(content))


def _text_layer(kind: str, text: str) -> Layer:
    return _layer(IMAGE + kind, text.encode())


def _layer(media_type: str, content: bytes) -> Layer:
    return Layer(media_type, _digest(content), len(content), content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _compact(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
