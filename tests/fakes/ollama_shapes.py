"""A practice model as the read endpoints print it: tags, ps and show.

Facts sheet, section 2. Versions before 0.30 name neither capabilities nor lengths.
"""

import hashlib
from typing import Any

from tests.fakes.ollama_manifests import LICENSE, TEMPLATE, manifest_of
from tests.fakes.ollama_models import PracticeModel


def details_of(model: PracticeModel, *, with_lengths: bool = False) -> dict[str, Any]:
    details: dict[str, Any] = {
        "parent_model": "",
        "format": "safetensors" if model.has_tensor_layers else "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }
    if with_lengths:
        details["context_length"] = model.context_length
        details["embedding_length"] = model.embedding_length
    return details


def tag_row(
    model: PracticeModel, *, modern: bool, lies: bool = False
) -> dict[str, Any]:
    """Return the row of /api/tags; a lying one shows a digest of nothing it has."""
    manifest = manifest_of(model)
    tag: dict[str, Any] = {
        "name": model.name,
        "model": model.name,
        **_remote(model),
        "modified_at": model.modified_at.isoformat(),
        "size": manifest.size_bytes,
        "digest": false_digest(manifest.digest) if lies else manifest.digest,
        "details": details_of(model, with_lengths=modern),
    }
    if modern:
        tag["capabilities"] = list(model.capabilities)
    return tag


def show_answer(
    model: PracticeModel, *, verbose: bool, modern: bool = True
) -> dict[str, Any]:
    """Return the answer of /api/show; tensors come with `verbose` only."""
    tensor = {"name": "token_embd.weight", "type": "Q4_K", "shape": [3072, 128256]}
    return {
        "license": LICENSE.strip(),
        "modelfile": f"# Modelfile of a practice model\nFROM {model.name}\n",
        "parameters": f'{"num_ctx":<30} 4096\n{"stop":<30} "<|eot_id|>"',
        "template": TEMPLATE,
        "details": details_of(model, with_lengths=modern),
        "model_info": {} if model.remote_host else model_info(model, verbose),
        **({"tensors": [tensor]} if verbose else {}),
        "capabilities": list(model.capabilities),
        "modified_at": model.modified_at.isoformat(),
        **_remote(model),
    }


def false_digest(digest: str) -> str:
    return hashlib.sha256(f"not {digest}".encode()).hexdigest()


def _remote(model: PracticeModel) -> dict[str, Any]:
    if not model.remote_host:
        return {}
    return {"remote_model": model.remote_model, "remote_host": model.remote_host}


def model_info(model: PracticeModel, verbose: bool) -> dict[str, Any]:
    family = model.family
    return {
        "general.architecture": family,
        "general.file_type": 15,
        "general.parameter_count": model.parameter_count,
        "general.quantization_version": 2,
        f"{family}.attention.head_count": 24,
        f"{family}.attention.head_count_kv": 8,
        f"{family}.attention.key_length": 128,
        f"{family}.block_count": 28,
        f"{family}.context_length": model.context_length,
        f"{family}.embedding_length": model.embedding_length,
        f"{family}.feed_forward_length": 8192,
        "tokenizer.ggml.model": "gpt2",
        # Without verbose, arrays longer than five come back empty.
        "tokenizer.ggml.tokens": [f"<{n}>" for n in range(6)] if verbose else [],
    }
