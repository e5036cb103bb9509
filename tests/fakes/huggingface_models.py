"""What a repository of the practice hub is: files at commits, and who may read them.

`huggingface_shelf.py` holds the usual ones, `huggingface_shapes.py` prints them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

BIG_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pth", ".onnx")  # kept in LFS


@dataclass(frozen=True, kw_only=True)
class PracticeFile:
    """One file; big ones are LFS: git has a pointer, the content is its SHA-256."""

    path: str
    content: bytes

    @property
    def is_big(self) -> bool:
        return self.path.endswith(BIG_SUFFIXES)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        size = len(self.content)
        version = "version https://git-lfs.github.com/spec/v1"
        return f"{version}\noid sha256:{self.sha256}\nsize {size}\n".encode()

    @cached_property
    def git_sha1(self) -> str:
        """The hash of the blob in git: of the pointer where the content is big."""
        blob = self.pointer if self.is_big else self.content
        return git_hash("blob", blob)


def git_hash(kind: str, content: bytes) -> str:
    raw = f"{kind} {len(content)}\0".encode() + content
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


Files = Mapping[str, PracticeFile]


@dataclass(kw_only=True)
class PracticeRepo:
    """One repository. `gated` is empty, `auto` or `manual`.

    `card` is what stands above the text of its README, `config` the part of its
    config.json that the hub tells, `parameters` its weights by type (`BF16`).
    """

    id: str
    files: dict[str, PracticeFile]
    gated: str = ""
    is_private: bool = False
    is_disabled: bool = False
    tags: tuple[str, ...] = ()
    pipeline_tag: str = "text-generation"
    library: str = "transformers"
    card: dict[str, object] = field(default_factory=lambda: {"license": "mit"})
    config: dict[str, object] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    gguf: dict[str, object] = field(default_factory=dict)
    downloads: int = 0
    likes: int = 0
    trending: int = 0
    created_at: str = "2026-05-26T09:12:25.000Z"
    modified_at: str = "2026-06-01T10:00:00.000Z"
    history: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        self._commit()

    @property
    def commit(self) -> str:
        """The commit that `main` names."""
        return self.branches["main"]

    @property
    def all_tags(self) -> list[str]:
        told = [self.library, *self.tags, self.pipeline_tag]
        told += [f"license:{self.card['license']}"] if "license" in self.card else []
        return [tag for tag in told if tag] + ["region:us"]

    def publish(self, changes: Mapping[str, bytes | None]) -> str:
        """A new commit on main, with None for a file that goes; the old one stays."""
        for path, content in changes.items():
            self.files.pop(path, None)
            if content is not None:
                self.files[path] = PracticeFile(path=path, content=content)
        self.version += 1
        return self._commit()

    def resolve(self, revision: str) -> str:
        """The commit of a branch, a tag or a commit; empty when there is none."""
        return self.branches.get(revision, revision if revision in self.history else "")

    def _commit(self) -> str:
        lines = [f"{file.git_sha1} {path}" for path, file in sorted(self.files.items())]
        told = "\n".join([self.id, str(self.version), *lines])
        commit = git_hash("commit", told.encode())
        self.branches["main"] = commit
        self.history[commit] = dict(self.files)
        return commit


def files_of(contents: Mapping[str, bytes]) -> dict[str, PracticeFile]:
    return {path: PracticeFile(path=path, content=contents[path]) for path in contents}
