"""What the header of a GGUF file in a folder tells: what it is, what it can do.

For folders that hold nothing else; beside a config.json that one speaks. Keys as
llama.cpp writes them (facts of gguf 0.19).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models_app.providers.figures import ModelFigures
from models_app.providers.folder_files import size_of
from models_app.providers.gguf_figures import figures_of_gguf
from venom_site.clients.gguf import GgufRefused, read_header
from venom_site.clients.gguf_header import GgufHeader

logger = logging.getLogger(__name__)

MOST_LOOKED_AT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """`sees`: a projector lies beside it. Sizes in bytes, of all parts."""

    header: GgufHeader
    figures: ModelFigures
    sees: bool = False

    @property
    def embeds(self) -> bool:
        return f"{self.header.architecture}.pooling_type" in self.header.keys


def gguf_in(folder: Path, names: Sequence[str]) -> GgufModel | None:
    """The first model among these files; None where none can be read.

    Several quantizations of one model side by side are one each; parts of a split one
    belong together and the first has the keys.
    """
    model: tuple[str, GgufHeader] | None = None
    sees = False
    for name in names[:MOST_LOOKED_AT]:
        header = _header(folder / name)
        if header is None:
            continue
        if header.is_projector:
            sees = True
        elif model is None and header.architecture:
            model = (name, header)
    if model is None:
        return None
    name, header = model
    size = sum(size_of(folder / part) for part in _parts(name, header, names))
    return GgufModel(header=header, figures=figures_of_gguf(header, size), sees=sees)


def _header(path: Path) -> GgufHeader | None:
    try:
        return read_header(path)
    except (GgufRefused, OSError) as error:
        logger.info("gguf not read name=%s %s", path.name, error)
        return None


def _parts(name: str, header: GgufHeader, names: Sequence[str]) -> list[str]:
    """`name-00001-of-00003.gguf` and those that follow."""
    if header.split is None:
        return [name]
    beginning = name.rpartition("-of-")[0].rpartition("-")[0]
    return [each for each in names if each.startswith(f"{beginning}-")]
