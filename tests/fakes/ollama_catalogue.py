"""The models that can be pulled, shared by the practice Ollama and its registry.

Sizes are near the real ones. A name outside the catalogue cannot be pulled, but can
stand installed "by the CLI": it becomes a plain three-billion llama.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from tests.fakes.ollama_models import PracticeModel, full_name

VISION = ("completion", "vision")
TOOLS = ("completion", "tools")
THINKING = ("completion", "tools", "thinking")


_GEMMA = PracticeModel(
    name="gemma3:4b",
    family="gemma3",
    parameter_size="4.3B",
    parameter_count=4_299_915_632,
    size_bytes=3_338_801_804,
    embedding_length=2560,
    capabilities=VISION,
)
_SMALL_GEMMA = replace(
    _GEMMA,
    name="gemma3:1b",
    parameter_size="999.89M",
    parameter_count=999_885_952,
    size_bytes=815_319_791,
    context_length=32_768,
    capabilities=("completion",),
)
_LLAMA = PracticeModel(name="llama3.2:3b", capabilities=TOOLS)
_MODELS = (
    replace(
        _SMALL_GEMMA,
        name="gemma3:270m",
        parameter_size="268.10M",
        parameter_count=268_098_176,
        quantization="Q8_0",
        size_bytes=291_554_930,
    ),
    _SMALL_GEMMA,
    _GEMMA,
    replace(_GEMMA, name="gemma3:latest", weights="gemma3:4b"),
    replace(_GEMMA, name="gemma3:4b-it-q4_K_M", weights="gemma3:4b"),
    replace(
        _GEMMA,
        name="gemma3:12b",
        parameter_size="12.2B",
        parameter_count=12_187_325_040,
        size_bytes=8_149_190_253,
    ),
    replace(
        _GEMMA,
        name="gemma3:27b",
        parameter_size="27.4B",
        parameter_count=27_432_406_640,
        size_bytes=17_396_936_941,
    ),
    # Layers of tensors need a runtime that plain Linux does not have.
    replace(_GEMMA, name="gemma3:4b-mlx", has_tensor_layers=True),
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
        capabilities=THINKING,
    ),
    _LLAMA,
    replace(_LLAMA, name="llama3.2:latest", weights="llama3.2:3b"),
    PracticeModel(
        name="llama3.3:70b",
        parameter_size="70.6B",
        parameter_count=70_553_706_560,
        size_bytes=42_520_413_916,
        embedding_length=8192,
        capabilities=TOOLS,
    ),
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
    PracticeModel(
        name="practice-tiny:latest",
        parameter_size="3.5M",
        parameter_count=3_500_000,
        quantization="Q8_0",
        size_bytes=4_194_304,
        context_length=2048,
        embedding_length=64,
        capabilities=TOOLS,
    ),
    PracticeModel(
        name="somebody/practice-tiny:q8_0",
        weights="practice-tiny:latest",
        size_bytes=4_194_304,
        parameter_size="3.5M",
        parameter_count=3_500_000,
        quantization="Q8_0",
    ),
    # A hosted model: what lies here is a stub of a few hundred bytes.
    PracticeModel(
        name="gpt-oss:20b-cloud",
        family="gptoss",
        parameter_size="20.9B",
        parameter_count=20_914_757_184,
        quantization="MXFP4",
        capabilities=THINKING,
        remote_host="https://ollama.com:443",
        remote_model="gpt-oss:20b",
    ),
)


class Catalogue:
    """What a registry offers; names compare without regard to case."""

    def __init__(self, models: Iterable[PracticeModel] = _MODELS) -> None:
        self._models = {model.key: model for model in models}

    def __contains__(self, name: str) -> bool:
        return full_name(name).lower() in self._models

    def __iter__(self) -> Iterator[PracticeModel]:
        return iter(list(self._models.values()))

    def find(self, name: str) -> PracticeModel | None:
        return self._models.get(full_name(name).lower())

    def add(self, model: PracticeModel | str) -> None:
        """Offer a model; a bare name is offered as a plain three-billion llama."""
        if isinstance(model, str):
            model = PracticeModel(name=full_name(model))
        self._models[model.key] = model

    def discard(self, name: str) -> None:
        self._models.pop(full_name(name).lower(), None)

    def publish(self, name: str) -> PracticeModel:
        """Put a newer version under the tag; KeyError when there is none yet."""
        old = self._models[full_name(name).lower()]
        newer = replace(old, revision=old.revision + 1)
        self._models[newer.key] = newer
        return newer

    def make(self, name: str) -> PracticeModel:
        """Return the model as if it had been pulled now, under its full name."""
        known = self.find(name) or PracticeModel(name=full_name(name))
        return replace(known, modified_at=datetime.now(UTC))
