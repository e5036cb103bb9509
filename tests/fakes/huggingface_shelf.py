"""The repositories of the practice hub: each shows one thing that the real one has.

Contents are made once per process; every shelf has repositories of its own over them.
"""

import random
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tests.fakes.huggingface_models import (
    Files,
    PracticeFile,
    PracticeRepo,
    files_of,
)
from tests.fakes.tiny_model import (
    NO_SYSTEM,
    WITH_SYSTEM,
    as_json,
    safetensors,
    tiny_config,
    tiny_files,
)

MANY_FILES = 3_000
SHARDS, SHARD_BYTES = 3, 4 * 2**20
TINY = {
    "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    "parameters": {"F32": 120_256},
    "tags": ("safetensors", "llama", "conversational", "en"),
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


class Shelf:
    """Repositories by id; ids are compared as written, as the hub does."""

    def __init__(self) -> None:
        self._repos = {repo.id: repo for repo in usual_repos()}
        self.moved: dict[str, str] = {}

    def __iter__(self) -> Iterator[PracticeRepo]:
        return iter(list(self._repos.values()))

    def find(self, name: str) -> PracticeRepo | None:
        return self._repos.get(name)

    def put(self, name: str, contents: Mapping[str, bytes], **fields: Any) -> None:
        """A repository of these files; fields as PracticeRepo names them."""
        self._repos[name] = PracticeRepo(id=name, files=files_of(contents), **fields)

    def discard(self, name: str) -> None:
        self._repos.pop(name, None)

    def move(self, name: str, to: str) -> None:
        """Rename one; the old name leads to the new one."""
        repo = self._repos.pop(name)
        repo.id = to
        self._repos[to] = repo
        self.moved[name] = to

    def publish(self, name: str, changes: Mapping[str, bytes | None]) -> str:
        """Change files on main; returns the new commit."""
        return self._repos[name].publish(changes)


def usual_repos() -> list[PracticeRepo]:
    """Trending in this order; figures of popularity fall with it."""
    repos = [
        *(tiny("practice/tiny-llama"), tiny("practice/tiny-nosystem")),
        repo("practice/sharded-12m", "sharded", **TINY),
        repo("practice/tiny-awq", "awq", **_quantized(AWQ)),
        tiny("practice/tiny-gated", gated="manual", card=_licence("Practice licence")),
        tiny("practice/tiny-auto-gated", gated="auto"),
        tiny("practice/tiny-private", is_private=True),
        tiny("practice/tiny-disabled", is_disabled=True),
        repo("practice/tiny-GGUF", "gguf", library="gguf", gguf=GGUF, tags=("gguf",)),
        repo("practice/pickled", "pickled", tags=("pytorch", "llama")),
        repo("practice/no-weights", "empty", library="", card={}),
        repo("practice/many-files", "many", **TINY),
        repo("practice/pictures", "pictures", library="diffusers", card=_licence()),
        repo("tiny-of-nobody", "tiny", **TINY),  # a name without an owner
    ]
    for place, found in enumerate(repos):
        found.trending, found.likes = 100 - 7 * place, 900 - 60 * place
        found.downloads = 123_456 // (place + 1)
        found.created_at = f"2026-05-{place + 1:02d}T09:12:25.000Z"
        found.modified_at = f"2026-06-{30 - place:02d}T10:00:00.000Z"
    return repos


def repo(name: str, contents: str, **fields: Any) -> PracticeRepo:
    """A repository over contents that are shared; it may change its own list."""
    return PracticeRepo(id=name, files=dict(_contents(contents)), **fields)


def tiny(name: str, **fields: Any) -> PracticeRepo:
    contents = "nosystem" if name.endswith("nosystem") else "tiny"
    return repo(name, contents, **{**TINY, **fields})


GGUF: dict[str, object] = {
    "total": 120_256,
    "architecture": "llama",
    "context_length": 512,
    "chat_template": WITH_SYSTEM,
    "bos_token": "<s>",
    "eos_token": "</s>",
}


def _quantized(settings: dict[str, Any]) -> dict[str, Any]:
    config = {**TINY["config"], "quantization_config": settings}  # type: ignore[dict-item]
    return {**TINY, "config": config, "tags": ("safetensors", "llama", "awq", "4-bit")}


def _licence(name: str = "") -> dict[str, object]:
    address = "https://example.org/practice-licence"
    return {"license": "other", "license_name": name, "license_link": address}


@lru_cache(maxsize=16)
def _contents(kind: str) -> Files:
    made = {**_MAKERS[kind](), "README.md": _card(kind), ".gitattributes": ATTRIBUTES}
    return files_of(dict(sorted(made.items())))


ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def _card(kind: str) -> bytes:
    return (
        "---\nlicense: mit\npipeline_tag: text-generation\n---\n"
        f"# A practice model ({kind})\n\nIt says noise in **real words**.\n"
    ).encode()


def _sharded() -> dict[str, bytes]:
    """In shards, beside what must not be fetched: the same weights in other forms."""
    noise = random.Random(3)
    files = {**tiny_files(), **_other_forms()}
    del files["model.safetensors"]
    places = {}
    for number in range(1, SHARDS + 1):
        path = f"model-{number:05d}-of-{SHARDS:05d}.safetensors"
        places[name := f"model.layers.{number - 1}.mlp.up_proj.weight"] = path
        content = noise.randbytes(SHARD_BYTES)
        shape = (SHARD_BYTES // 256, 128)
        files[path] = safetensors({name: ("BF16", shape, content)})
    index = {"metadata": {"total_size": SHARDS * SHARD_BYTES}, "weight_map": places}
    return {**files, "model.safetensors.index.json": as_json(index)}


def _other_forms() -> dict[str, bytes]:
    paths = (
        *("pytorch_model.bin", "consolidated.safetensors", "original/params.json"),
        *("original/consolidated.00.pth", "onnx/model.onnx", "model-q8_0.gguf"),
    )
    return dict.fromkeys(paths, b"the same weights again")


def _awq() -> dict[str, bytes]:
    config = as_json({**tiny_config(), "quantization_config": AWQ})
    return {**tiny_files(), "config.json": config}


def _gguf() -> dict[str, bytes]:
    """Two quantizations; each a valid file of no tensors and some padding."""
    empty = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    sizes = {"Q4_K_M": 40_000, "Q8_0": 80_000}
    return {f"tiny-{name}.gguf": empty + bytes(sizes[name]) for name in sizes}


def _pickled() -> dict[str, bytes]:
    files = tiny_files()
    del files["model.safetensors"]
    files["pytorch_model.bin"] = b"PK\x03\x04 no real pickle"
    return {**files, "training_args.bin": b"of no use"}


def _many() -> dict[str, bytes]:
    files = tiny_files(NO_SYSTEM)
    spare = MANY_FILES - len(files) - 2
    return files | {f"notes/{n // 100}/{n}.txt": b"%d\n" % n for n in range(spare)}


def _pictures() -> dict[str, bytes]:
    weights = safetensors({"weight": ("F32", (2,), bytes(8))})
    parts = {f"{part}/model.safetensors": weights for part in ("unet", "vae")}
    return {"model_index.json": as_json({"_class_name": "Pipeline"}), **parts}


_MAKERS = {
    "tiny": tiny_files,
    "nosystem": lambda: tiny_files(NO_SYSTEM),
    "sharded": _sharded,
    "awq": _awq,
    "gguf": _gguf,
    "pickled": _pickled,
    "empty": lambda: {"config.json": as_json(tiny_config())},
    "many": _many,
    "pictures": _pictures,
}

__all__ = ["MANY_FILES", "PracticeFile", "Shelf", "usual_repos"]
