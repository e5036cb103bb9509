"""How the practice vLLM misbehaves: read once, when it starts.

`PRACTICE_VLLM` is a JSON object, or the path of a file that holds one. What a real
vLLM 0.32 was seen to do is named in README.md here.
"""

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path

VARIABLE = "PRACTICE_VLLM"


@dataclass(frozen=True, kw_only=True)
class Tricks:
    start_seconds: float = 0.1  # until it listens
    stop_seconds: float = 0.0  # from SIGTERM to its end
    ignore_sigterm: bool = False  # always; only SIGKILL helps
    lose_sigterm: str = ""  # the first one while starting: then `hang`, or `serve`
    leave_engine: bool = False  # the engine outlives a parent that was killed
    new_group: bool = False  # the engine opens a process group of its own
    engine_dies_after: float = 0.0  # seconds after it is ready; 0 is never
    exit_code: int = 0  # of the parent after that
    freeze: bool = False  # /health answers, no chat ever does
    served_names: list[str] = field(default_factory=list)  # instead of those asked for
    root: str = ""  # instead of MODEL
    fail: str = ""  # one of CAUSES
    memory_mb: int = 0  # held by the engine
    noise: bool = False  # an ERROR of the API server that means nothing


def read_tricks() -> Tricks:
    """A misspelt trick ends the program: a test must not pass without it."""
    given = os.environ.get(VARIABLE, "").strip()
    if given and not given.startswith("{"):
        path = Path(given)
        given = path.read_text(encoding="utf-8") if path.exists() else ""
    wishes = json.loads(given or "{}")
    known = {each.name for each in fields(Tricks)}
    if unknown := sorted(set(wishes) - known):
        raise SystemExit(f"{VARIABLE}: unknown {unknown}; known are {sorted(known)}")
    if wishes.get("fail") and wishes["fail"] not in CAUSES:
        raise SystemExit(f"{VARIABLE}: fail is one of {sorted(CAUSES)}")
    return Tricks(**wishes)


# The line of the exception, as it stands in the first ERROR block of the log.
CAUSES = {
    "bad_weights": (
        "safetensors._safetensors_rust.SafetensorError: Error while deserializing "
        "header: incomplete metadata, file not fully covered"
    ),
    "out_of_memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "
        "has a total capacity of 23.64 GiB of which 1.21 GiB is free."
    ),
    "gpu_full": (
        "ValueError: Free memory on device cuda:0 (5.1/24.0 GiB) on startup is less "
        "than desired GPU memory utilization (0.92, 22.08 GiB). Decrease GPU memory "
        "utilization or reduce GPU memory used by other processes."
    ),
    "no_room_for_cache": (
        "ValueError: To serve at least one request with the model's max seq len "
        "(131072), (16.0 GiB KV cache is needed, which is larger than the available KV "
        "cache memory (9.9 GiB). Based on the available memory, the estimated maximum "
        "model length is 81072. Try increasing gpu_memory_utilization or decreasing "
        "max_model_len."
    ),
}


def context_too_long(wanted: int, longest: int) -> str:
    return (
        f"User-specified max_model_len ({wanted}) is greater than the derived "
        f"max_model_len (max_position_embeddings={longest} or model_max_length=None in "
        "model's config.json). To allow overriding this maximum, set the env var "
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1."
    )


def missing_folder(path: str) -> str:
    return (
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form "
        f"'repo_name' or 'namespace/repo_name': '{path}'. Use `repo_type` argument if "
        "needed."
    )
