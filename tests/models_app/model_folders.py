"""Folders in Hugging Face layout for tests: real structure, a few bytes of weights."""

from __future__ import annotations

import json
import math

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 300,
    "max_position_embeddings": 512,
}
BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4}
TENSORS = {"lm_head.weight": ("BF16", [300, 64]), "norm.weight": ("BF16", [64])}


def safetensors(tensors=TENSORS):
    """The bytes of a valid file with these tensors: name → (dtype, shape)."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = BYTES[dtype] * math.prod(shape)
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [at, at + size],
        }
        at += size
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + bytes(at)


def model_folder(place, *, config=LLAMA, template="", weights=True, **files):
    """A whole model by default; `files` by name with `__` for a dot (`a__json`)."""
    place.mkdir(parents=True, exist_ok=True)
    told = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    if template:
        told["chat_template"] = template
    standard = {
        "tokenizer.json": {"model": {}},
        "tokenizer_config.json": told,
    }
    if config is not None:
        standard["config.json"] = config
    if weights:
        standard["model.safetensors"] = safetensors()
    given = {name.replace("__", "."): content for name, content in files.items()}
    for name, content in (standard | given).items():
        if content is None:
            continue
        path = place / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            is_text = isinstance(content, str)
            path.write_text(content if is_text else json.dumps(content))
    return place
