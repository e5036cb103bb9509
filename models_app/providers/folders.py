"""A folder in Hugging Face layout: what its files tell, and what its model can do.

`read_folder` collects, `describe_folder` judges; providers of folders describe with
the second, `services/prepare.py` asks the first. Files of strangers: see
`folder_files.py`. Names of files and fields as transformers 5 and vLLM 0.33 read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_app.choices import CapabilitySource
from models_app.providers.base import Description
from models_app.providers.chat_templates import (
    Named,
    TemplateReading,
    read_template,
)
from models_app.providers.figures import ModelFigures, figures_of_config
from models_app.providers.folder_files import (
    Json,
    is_plain,
    json_in,
    names_in,
    read_json,
    size_of,
    text_in,
)
from models_app.providers.folder_gguf import GgufModel, gguf_in
from models_app.providers.safetensors import Header, read_header
from models_app.reasons import Reason

MOST_SHARDS = 2000
LONGEST_SENSIBLE = 10**8  # tokenizers say 10**30 for «no limit»
LONGEST_STORED_TEMPLATE = 32_768
TOKENIZERS = frozenset(
    {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json"}
    | {"spiece.model", "sentencepiece.bpe.model", "tiktoken.model", "qwen.tiktoken"}
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
NO_WEIGHTS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt"})
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_GENERATES = re.compile(
    r"(?:CausalLM|LMHeadModel|ConditionalGeneration|ChatGLMModel|ChatModel)$"
)
_LICENSE = re.compile(r"^license:\s*['\"]?([A-Za-z0-9_.+-]{1,60})", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What lies there. `trouble` is what is wrong with config.json.

    `missing` are files of weights that an index promises and that are not there;
    `damaged` those whose header asks for another size than they have.
    """

    path: Path
    names: tuple[str, ...]
    config: Json
    trouble: Reason
    tokenizer: Json
    template: str | Named
    safetensors: tuple[str, ...] = ()
    pickles: tuple[str, ...] = ()
    ggufs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    weights_bytes: int = 0
    parameters: int | None = None
    gguf: GgufModel | None = None

    @property
    def architectures(self) -> tuple[str, ...]:
        told = self.config.get("architectures")
        listed = told[:8] if isinstance(told, list) else []
        return tuple(each[:100] for each in listed if isinstance(each, str))

    @property
    def generates(self) -> bool:
        if self.gguf is not None:
            return not self.gguf.embeds
        return any(map(_GENERATES.search, self.architectures))

    @property
    def embeds(self) -> bool:
        """As sentence-transformers mark a folder."""
        marks = {"modules.json", "config_sentence_transformers.json"}
        has_pooling = self.gguf is not None and self.gguf.embeds
        return has_pooling or not marks.isdisjoint(self.names)

    @property
    def has_tokenizer(self) -> bool:
        return not TOKENIZERS.isdisjoint(self.names)

    @property
    def special(self) -> dict[str, str]:
        """The tokens that a template may print."""
        told = {name: _token(self.tokenizer.get(name)) for name in _TOKENS}
        return {name: token for name, token in told.items() if token is not None}

    @property
    def figures(self) -> ModelFigures | None:
        if self.gguf is not None:
            return self.gguf.figures
        if not self.config and not self.weights_bytes:
            return None
        return figures_of_config(self.config, self.weights_bytes, self.parameters)

    @property
    def context_length(self) -> int | None:
        """Of a model that embeds, what its own settings cut texts to."""
        if self.embeds:
            told = json_in(self.path / "sentence_bert_config.json")
            if length := _length(told.get("max_seq_length")):
                return length
        figures = self.figures
        told_by_config = figures.context_length if figures else None
        return told_by_config or _length(self.tokenizer.get("model_max_length"))


_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def _token(told: Any) -> str | None:
    text = told.get("content") if isinstance(told, dict) else told
    return text[:200] if isinstance(text, str) else None


def _length(told: Any) -> int | None:
    is_sensible = type(told) is int and 0 < told <= LONGEST_SENSIBLE
    return told if is_sensible else None


def read_folder(path: Path) -> Folder:
    """Everything but the weights themselves; an empty folder is one without a name."""
    names = names_in(path)
    config, trouble = read_json(path / "config.json")
    tokenizer = json_in(path / "tokenizer_config.json")
    safetensors = _without_copies(n for n in names if n.endswith(".safetensors"))
    pickles = tuple(n for n in names if n.endswith(PICKLES) and n not in NO_WEIGHTS)
    ggufs = tuple(n for n in names if n.lower().endswith(".gguf"))
    headers = {name: read_header(path / name) for name in safetensors}
    weights = safetensors or pickles or ggufs
    has_only_gguf = bool(ggufs) and weights is ggufs and bool(trouble)
    gguf = gguf_in(path, ggufs) if has_only_gguf else None
    return Folder(
        path=path,
        names=names,
        config=config,
        trouble=trouble,
        tokenizer=tokenizer,
        template=_template(path, tokenizer)
        or (gguf.header.chat_template if gguf else ""),
        safetensors=safetensors,
        pickles=pickles,
        ggufs=ggufs,
        missing=_missing(path),
        damaged=tuple(
            n for n, told in headers.items() if not _is_whole(path / n, told)
        ),
        weights_bytes=sum(size_of(path / name) for name in weights),
        parameters=_parameters(headers, config),
        gguf=gguf,
    )


def _without_copies(names: Iterable[str]) -> tuple[str, ...]:
    """Mistral's folders hold everything a second time, for its own server."""
    found = list(names)
    others = [name for name in found if not name.startswith("consolidated")]
    return tuple(others or found)[:MOST_SHARDS]


def _is_whole(path: Path, header: Header | None) -> bool:
    return header is not None and header.size_bytes == size_of(path)


def _parameters(headers: dict[str, Header | None], config: Json) -> int | None:
    """Counted; packed weights of a quantized model do not tell."""
    counts = [header.parameters for header in headers.values() if header]
    is_whole = len(counts) == len(headers)
    is_packed = "quantization_config" in config
    return sum(counts) or None if is_whole and not is_packed else None


def _missing(path: Path) -> tuple[str, ...]:
    """Shards of the first index that is there; names that leave the folder count as
    missing, since nobody reads them."""
    for index in INDEXES:
        shards = json_in(path / index).get("weight_map")
        if isinstance(shards, dict):
            wanted = {name for name in shards.values() if isinstance(name, str)}
            return tuple(sorted(n[:200] for n in wanted if not _is_there(path, n)))
    return ()


def _is_there(path: Path, name: str) -> bool:
    return ".." not in Path(name).parts and is_plain(path / name)


def _template(path: Path, tokenizer: Json) -> str | Named:
    """As transformers 5 looks for it: its own file first (vllm_observed §8)."""
    if text := text_in(path / "chat_template.jinja"):
        more = path / "additional_chat_templates"
        named = {
            name.removesuffix(".jinja"): text_in(more / name)
            for name in names_in(more)
            if name.endswith(".jinja")
        }
        return {**named, "default": text} if named else text
    for told in (json_in(path / "chat_template.json"), tokenizer):
        template = told.get("chat_template")
        if isinstance(template, str | list | dict) and template:
            return template
    return ""


def describe_folder(path: Path) -> Description:
    """What its model can do, and who says so of each; starts one process where there
    is a chat template (0.15 s). Never raises for what lies in the folder."""
    folder = read_folder(path)
    return describe(folder, reading_of(folder))


def reading_of(folder: Folder) -> TemplateReading | None:
    """None without a template."""
    if not folder.template:
        return None
    return read_template(folder.template, special=folder.special)


def describe(folder: Folder, reading: TemplateReading | None) -> Description:
    """Pure: the same for what has been read already."""
    said: dict[str, Any] = _declared(folder)
    sources = {
        name: CapabilitySource.DECLARED.value
        for name, value in said.items()
        if value not in (None, "")
    }
    if reading is not None:
        told = _of_template(reading)
        said |= told
        sources |= dict.fromkeys(told, CapabilitySource.TEMPLATE.value)
    return Description(**said, figures=folder.figures, sources=sources)


def _declared(folder: Folder) -> dict[str, Any]:
    """What the files say in so many words; a model that generates text and has no
    template cannot chat: servers refuse to guess one."""
    cannot_chat = folder.embeds or (folder.generates and not folder.template)
    is_known = bool(folder.architectures or folder.gguf) or folder.embeds
    return {
        "context_length": folder.context_length,
        "license": _license(folder),
        "supports_chat": False if cannot_chat else None,
        "supports_embedding": folder.embeds
        if folder.embeds or folder.generates
        else None,
        "supports_vision": _sees(folder) if is_known else None,
    }


def _of_template(reading: TemplateReading) -> dict[str, Any]:
    """Only what it could be asked."""
    told = {
        "supports_chat": True if reading.roles else None,
        "supports_system_role": reading.takes_system,
        "supports_function_calling": reading.tools,
        "supports_thinking": reading.thinking,
        "allowed_roles": reading.roles or None,
        "template": reading.template[:LONGEST_STORED_TEMPLATE] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _sees(folder: Folder) -> bool:
    if folder.gguf is not None:
        return folder.gguf.sees
    if isinstance(folder.config.get("vision_config"), dict):
        return True
    settings = [json_in(folder.path / name) for name in PROCESSORS]
    return any("image" in str(name) for each in settings for name in each)


def _license(folder: Folder) -> str:
    """As the head of the model's card names it, or the file itself."""
    own = folder.gguf.header.text("general.license") if folder.gguf else ""
    card = text_in(folder.path / "README.md", 20_000)
    if own or not card.startswith("---"):
        return own[:200]
    found = _LICENSE.search(card.split("\n---", 1)[0])
    return found.group(1) if found else ""
