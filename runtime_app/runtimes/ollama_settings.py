"""How Ollama is tuned: the chosen profile, and what single settings say otherwise.

They are settings of the server: Ollama reads them once, from its own environment, when
it starts. Facts: Ollama 0.16 to 0.33, `ollama serve --help`.
"""

from __future__ import annotations

from models_app.services.machine import OLLAMA_PROFILES
from venom_site.env import Env

# Requests that may wait and how long a model stays, by profile; what the profiles say
# about context, parallel requests and cache stands beside the fit, which counts it.
_QUEUE_AND_KEEP = {
    "balanced-12-24gb": ("256", "30m"),
    "low-vram-8-12gb": ("128", "20m"),
    "max-context-24gb-plus": ("128", "45m"),
}
TUNED = (
    "OLLAMA_CONTEXT_LENGTH",
    "OLLAMA_NUM_PARALLEL",
    "OLLAMA_MAX_QUEUE",
    "OLLAMA_FLASH_ATTENTION",
    "OLLAMA_KV_CACHE_TYPE",
    "OLLAMA_KEEP_ALIVE",
)


def ollama_environment(env: Env) -> dict[str, str]:
    """What the server's own environment is given, each value as Ollama writes it."""
    tuned = profile_values(env.VENOM_OLLAMA_PROFILE) | explicit_values(env)
    if env.OLLAMA_LOAD_TIMEOUT:
        tuned["OLLAMA_LOAD_TIMEOUT"] = env.OLLAMA_LOAD_TIMEOUT
    if env.OLLAMA_NO_CLOUD:
        tuned["OLLAMA_NO_CLOUD"] = "1"
    return tuned


def profile_values(profile: str) -> dict[str, str]:
    """The six values that a profile stands for."""
    serving = OLLAMA_PROFILES[profile]
    queue, keep = _QUEUE_AND_KEEP[profile]
    return {
        "OLLAMA_CONTEXT_LENGTH": str(serving.context),
        "OLLAMA_NUM_PARALLEL": str(serving.parallel),
        "OLLAMA_MAX_QUEUE": queue,
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": serving.kv_type,
        "OLLAMA_KEEP_ALIVE": keep,
    }


def explicit_values(env: Env) -> dict[str, str]:
    """Those of the six that somebody has set. Without flash attention Ollama keeps its
    cache in 16 bits, so the profile's quantized one would be a lie."""
    given = {name: _written(getattr(env, name)) for name in TUNED}
    values = {name: value for name, value in given.items() if value}
    if env.OLLAMA_FLASH_ATTENTION is False:
        values["OLLAMA_KV_CACHE_TYPE"] = "f16"
    return values


def _written(value: object) -> str:
    """Ollama reads truth as 1 and 0."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
