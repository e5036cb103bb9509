#!/usr/bin/env python3
"""Pickle weights into safetensors: an example for VLLM_PREPARE_COMMAND.

    convert_to_safetensors.py SOURCE TARGET [DTYPE] [QUANTIZATION]

Run by a Python that has torch and safetensors, as that of vLLM has. SOURCE is only
read, TARGET is filled. DTYPE `auto` keeps the numbers as they are. Weights are read
with `weights_only`, so that no code of theirs runs; one file of them is in memory at a
time. It does not quantize, nor take quantization away: ends with 2.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

AUTO = "auto"
DTYPES = {
    "half": torch.float16,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float": torch.float32,
    "float32": torch.float32,
}
INDEX = "pytorch_model.bin.index.json"
# Of a training that goes on, or of an adapter: no weights of the model itself.
NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "adapter_")


def main(arguments: list[str]) -> int:
    if not 2 <= len(arguments) <= 4:
        return refused((__doc__ or "").strip())
    source, target = Path(arguments[0]), Path(arguments[1])
    dtype, quantization = ([*arguments[2:], AUTO, AUTO])[:2]
    if dtype not in {AUTO, *DTYPES}:
        return refused(f"error: DTYPE must be one of auto, {', '.join(DTYPES)}")
    if quantization != AUTO:
        return refused(f"error: cannot make the quantization {quantization}")
    weights = weights_of(source)
    if not weights:
        return refused(f"error: {source} has no pickle weights (*.bin)")
    copy_others(source, target, but=weights)
    write_index(target, [convert(path, target, dtype) for path in weights])
    if dtype != AUTO:
        name_dtype(target / "config.json", dtype)
    return 0


def weights_of(source: Path) -> list[Path]:
    found = sorted(source.glob("*.bin"))
    return [path for path in found if not path.name.startswith(NO_WEIGHTS)]


def copy_others(source: Path, target: Path, *, but: list[Path]) -> None:
    """All else that belongs to the model; not what others noted beside it."""
    left_out = {INDEX, *(path.name for path in but)}
    for path in sorted(source.iterdir()):
        if path.name in left_out or path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target / path.name)


def convert(path: Path, target: Path, dtype: str) -> tuple[str, dict[str, int]]:
    """Write one file; returns its name and the bytes of each tensor."""
    name = path.name.removeprefix("pytorch_").replace(".bin", ".safetensors")
    told(f"{path.name} → {name}")
    read = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {
        key: fitted(value, dtype)
        for key, value in read.items()
        if isinstance(value, torch.Tensor)
    }
    save_file(tensors, target / name, metadata={"format": "pt"})
    shutil.copymode(path, target / name)  # it writes for its owner alone
    return name, {key: value.nbytes for key, value in tensors.items()}


def fitted(tensor: Any, dtype: str) -> Any:
    """On its own: tied weights share memory, which safetensors does not write."""
    if dtype != AUTO and tensor.is_floating_point():
        tensor = tensor.to(DTYPES[dtype])
    return tensor.clone().contiguous()


def write_index(target: Path, made: list[tuple[str, dict[str, int]]]) -> None:
    """What vLLM asks for where there are several files."""
    if len(made) < 2:
        return
    index = {
        "metadata": {"total_size": sum(sum(sizes.values()) for _, sizes in made)},
        "weight_map": {key: name for name, sizes in made for key in sizes},
    }
    text = json.dumps(index, indent=2)
    (target / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def name_dtype(path: Path, dtype: str) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    name = str(DTYPES[dtype]).removeprefix("torch.")
    for key in ("torch_dtype", "dtype"):
        if key in config:
            config[key] = name
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def refused(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 2


def told(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
