"""Which files of a Hugging Face repository make a model that vLLM loads.

Repositories often hold the same weights several times over. vLLM 0.32 reads
`*.safetensors` of the top folder, else `*.bin`; what it needs besides is configuration,
the tokenizer and the chat template. Pure: the provider fetches what is chosen here, the
catalogue tells its size.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from models_app.reasons import NO_REASON, PICKLE_ONLY, Reason, because
from venom_site.clients.huggingface import HubFile

SAFETENSORS, PYTORCH, GGUF = "safetensors", "pytorch", "gguf"
SMALL = ("*.json", "tokenizer*", "*.model", "*.txt", "*.jinja", "*.tiktoken")
# The same weights in Mistral's own form, of an adapter, of a training that goes on.
NO_WEIGHTS = (
    *("consolidated*", "adapter_*", "training_args*", "optimizer*", "scheduler*"),
    *("rng_state*", "scaler*", "*.fp16.*", "*.fp32.*", "*.bf16.*"),
)
OTHER_FORMS = ("*.bin.index.json", "*.gguf", "tf_model*", "flax_model*", "trainer_*")
# Below the top folder only what sentence-transformers and chat templates keep there.
BELOW = re.compile(r"(\d+_[A-Za-z]+/[^/]+\.(json|safetensors))|additional_chat_\w+/.+")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.(?:safetensors|bin)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`complaint` says why this cannot be installed for vLLM; none when it can.

    `format` is safetensors, pytorch, gguf or empty: that of the weights that are there.
    Bytes are None where the Hub does not tell the size of one of the files.
    """

    files: tuple[HubFile, ...] = ()
    format: str = ""
    complaint: Reason = NO_REASON
    total_bytes: int | None = None
    weights_bytes: int | None = None


def choose_files(files: Iterable[HubFile], repo: str = "") -> Choice:
    """What to fetch of these files; `repo` is named in the complaint about GGUF."""
    listed = tuple(files)
    top = [file for file in listed if "/" not in file.path]
    weights = _weights(top, ".safetensors")
    pickles = [] if weights else _weights(top, ".bin")
    if not weights and not pickles:
        return _without_weights(listed, repo)
    chosen = weights or pickles
    rest = [file for file in listed if _is_needed_beside(file.path)]
    if weights:
        rest += [f for f in listed if BELOW.fullmatch(f.path) and f not in rest]
    return Choice(
        files=tuple(sorted([*chosen, *rest], key=lambda file: file.path)),
        format=SAFETENSORS if weights else PYTORCH,
        complaint=_complaint(chosen, rest, are_pickles=not weights),
        total_bytes=bytes_of([*chosen, *rest]),
        weights_bytes=bytes_of(chosen),
    )


def bytes_of(files: Iterable[HubFile]) -> int | None:
    """All of them together; None when one size is unknown."""
    sizes = [file.size_bytes for file in files]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _weights(top: Sequence[HubFile], suffix: str) -> list[HubFile]:
    """The weights of this kind, each tensor once."""
    found = [
        file
        for file in top
        if file.path.endswith(suffix) and not _is_any(file.path, NO_WEIGHTS)
    ]
    stems = {shard[1] for file in found if (shard := _SHARD.fullmatch(file.path))}
    # `model.safetensors` beside `model-00001-of-…` is the same again in one piece.
    whole = {f"{stem.removesuffix(suffix)}{suffix}" for stem in stems}
    return [file for file in found if file.path not in whole]


def _is_needed_beside(path: str) -> bool:
    if _is_any(path, OTHER_FORMS) or _is_any(path, NO_WEIGHTS):
        return False
    if path.endswith((".safetensors", ".bin")):
        return False
    return ("/" not in path or bool(BELOW.fullmatch(path))) and _is_any(path, SMALL)


def _is_any(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _complaint(
    weights: Sequence[HubFile], rest: Sequence[HubFile], *, are_pickles: bool
) -> Reason:
    if missing := _missing_shard(weights):
        return because("shard_missing", file=missing)
    if empty := next((file.path for file in weights if file.size_bytes == 0), ""):
        return because("weights_empty", file=empty)
    if not any(file.path == "config.json" for file in rest):
        return because("config_missing")
    if are_pickles:  # last: the only one that a conversion mends
        return because(PICKLE_ONLY)
    return NO_REASON


def _missing_shard(weights: Sequence[HubFile]) -> str:
    """The first file that a numbered set names and the repository lacks."""
    there: dict[tuple[str, str], set[int]] = defaultdict(set)
    for file in weights:
        if shard := _SHARD.fullmatch(file.path):
            there[shard[1], shard[3]].add(int(shard[2]))
    for (stem, total), numbers in there.items():
        for number in range(1, int(total) + 1):
            if number not in numbers:
                return f"{stem}-{number:05d}-of-{total}"
    return ""


def _without_weights(listed: Sequence[HubFile], repo: str) -> Choice:
    paths = {file.path for file in listed}
    if any(path.endswith(".gguf") for path in paths):
        return Choice(
            format=GGUF, complaint=because("gguf_only", name=_for_ollama(repo))
        )
    if any(path.startswith("adapter_model") for path in paths):
        why = "adapter"
    elif "model_index.json" in paths:
        why = "pipeline"
    elif any(path.startswith("consolidated") for path in paths):
        why = "mistral_form"
    else:
        why = "no_weights"
    return Choice(complaint=because(why))


def _for_ollama(repo: str) -> str:
    """The name under which Ollama fetches it."""
    return f"hf.co/{repo}" if repo else "hf.co/<owner>/<name>"
