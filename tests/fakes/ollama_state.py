"""What a practice Ollama has installed; what it has loaded is in `ollama_memory.py`.

Endpoints and tests share one `OllamaState`. Blobs follow the tags: a blob goes with
the last manifest that names it.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.fakes.neighbour import Refusal
from tests.fakes.ollama_blobs import BlobFolder
from tests.fakes.ollama_catalogue import Catalogue
from tests.fakes.ollama_manifests import manifest_of
from tests.fakes.ollama_memory import MemoryState
from tests.fakes.ollama_models import PracticeModel, full_name

PRUNE_GRACE_SECONDS = 3600  # of modern versions; older ones prune at once


@dataclass(kw_only=True)
class OllamaState(MemoryState):
    """The settings, the models and the record of one practice Ollama."""

    settings: ClassVar[tuple[str, ...]] = (
        *MemoryState.settings,
        *("tick_seconds", "bytes_per_second", "no_prune", "prune_grace_seconds"),
    )

    tick_seconds: float = 0.01  # between two progress lines of a pull
    bytes_per_second: float = 0  # of pulls; 0: four ticks for every big layer
    no_prune: bool = False  # OLLAMA_NOPRUNE
    prune_grace_seconds: float | None = None  # None: as this version has it
    models: dict[str, PracticeModel] = field(default_factory=dict)
    library: Catalogue = field(default_factory=Catalogue)
    folder: BlobFolder = field(default_factory=BlobFolder)

    def started(self) -> None:
        super().started()
        if not self.no_prune:
            self.folder.prune(keep=self._named(), older_than_seconds=self._grace())

    def _grace(self) -> float:
        if self.prune_grace_seconds is not None:
            return self.prune_grace_seconds
        return PRUNE_GRACE_SECONDS if self.is_modern else 0

    def model_names(self) -> list[str]:
        return [model.name for model in self.newest_first()]

    def newest_first(self) -> list[PracticeModel]:
        newest = sorted(self.models.values(), key=lambda model: model.modified_at)
        return newest[::-1]

    def add_model(self, name: str) -> None:
        model = self.library.make(name)
        self.folder.put(manifest_of(model).blobs)
        self.models[model.key] = model

    def remove_model(self, name: str) -> None:
        """Take the tag away and the blobs that no other tag names."""
        model = self.models.pop(full_name(name).lower(), None)
        if model is not None:
            self._drop_unnamed(model)

    def install(self, model: PracticeModel) -> bool:
        """Write the manifest; true when layers of an older version went for it."""
        old = self.models.get(model.key)
        self.models[model.key] = model
        if old is None or self.no_prune:
            return False
        return self._drop_unnamed(old)

    def _drop_unnamed(self, model: PracticeModel) -> bool:
        unnamed = {blob.digest for blob in manifest_of(model).blobs} - self._named()
        self.folder.drop(unnamed)
        return bool(unnamed)

    def _named(self) -> set[str]:
        """The digests that the manifests here name."""
        manifests = map(manifest_of, self.models.values())
        return {blob.digest for manifest in manifests for blob in manifest.blobs}

    def figures(self) -> dict[str, Any]:
        return {
            "bytes_per_second": self.bytes_per_second,
            "partials": self.folder.partials(),
            "fetched_bytes": dict(self.folder.fetched_bytes),
            "loads": dict(self.loads),
            "loaded": [entry.model.name for entry in self.loaded()],
        }

    def find(self, name: str) -> PracticeModel:
        """Return the installed model; names compare without regard to case."""
        model = self.models.get(full_name(name).lower())
        if model is None:
            raise Refusal(404, f"model '{name}' not found")
        return model

    def refuse_what_it_cannot(
        self, model: PracticeModel, body: dict[str, Any], verb: str
    ) -> None:
        if "completion" not in model.capabilities:
            raise Refusal(400, f'"{model.name}" does not support {verb}')
        if body.get("tools") and "tools" not in model.capabilities:
            full = f"registry.ollama.ai/library/{model.name}"
            raise Refusal(400, f"{full} does not support tools")
