"""How the hub prints models, files and trees as JSON. Facts sheet, section 1."""

import hashlib
from collections.abc import Iterable
from typing import Any

from tests.fakes.huggingface_models import PracticeFile, PracticeRepo

# What `expand` takes; any other word is a 400.
EXPANDABLE = (
    *("author", "baseModels", "cardData", "childrenModelCount", "config"),
    *("createdAt", "disabled", "downloads", "downloadsAllTime", "evalResults"),
    *("gated", "gguf", "inference", "inferenceProviderMapping", "lastModified"),
    *("library_name", "likes", "mask_token", "model-index", "pipeline_tag"),
    *("private", "resourceGroup", "safetensors", "sha", "siblings", "spaces", "tags"),
    *("transformersInfo", "trendingScore", "usedStorage", "widgetData"),
)
DEFAULT = (
    *("likes", "trendingScore", "private", "downloads", "tags"),
    *("pipeline_tag", "library_name", "createdAt"),
)
FULL = (*DEFAULT, "author", "gated", "lastModified", "sha", "siblings")
DETAILS = (
    *("author", "cardData", "config", "createdAt", "disabled", "downloads", "gated"),
    *("gguf", "lastModified", "library_name", "likes", "pipeline_tag", "private"),
    *("safetensors", "sha", "siblings", "spaces", "tags", "usedStorage"),
)


def model_entry(
    repo: PracticeRepo,
    fields: Iterable[str],
    *,
    commit: str = "",
    with_sizes: bool = False,
) -> dict[str, Any]:
    """These properties of a model, and always its ids; unknown ones are left out."""
    told = _told(repo, commit or repo.commit, with_sizes=with_sizes)
    entry = {"_id": id_of(repo.id), "id": repo.id, "modelId": repo.id}
    return entry | {name: told[name] for name in fields if name in told}


def _told(repo: PracticeRepo, commit: str, *, with_sizes: bool) -> dict[str, Any]:
    files = repo.history[commit].values()
    told: dict[str, Any] = {
        "author": repo.id.partition("/")[0] if "/" in repo.id else None,
        "cardData": repo.card,
        "config": repo.config,
        "createdAt": repo.created_at,
        "disabled": repo.is_disabled,
        "downloads": repo.downloads,
        "gated": repo.gated or False,
        "lastModified": repo.modified_at,
        "library_name": repo.library or None,
        "likes": repo.likes,
        "pipeline_tag": repo.pipeline_tag,
        "private": repo.is_private,
        "sha": commit,
        "siblings": [_sibling(file, with_sizes=with_sizes) for file in files],
        "spaces": [],
        "tags": repo.all_tags,
        "trendingScore": repo.trending,
        "usedStorage": 2 * sum(len(file.content) for file in files),
    }
    if repo.parameters:
        total = sum(repo.parameters.values())
        told["safetensors"] = {"parameters": repo.parameters, "total": total}
    if repo.gguf:
        told["gguf"] = repo.gguf
    return told


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _sibling(file: PracticeFile, *, with_sizes: bool) -> dict[str, Any]:
    if not with_sizes:
        return {"rfilename": file.path}
    size = len(file.content)
    entry = {"rfilename": file.path, "size": size, "blobId": file.git_sha1}
    if file.is_big:
        pointer = len(file.pointer)
        entry["lfs"] = {"sha256": file.sha256, "size": size, "pointerSize": pointer}
    return entry


def tree_entries(
    files: Iterable[PracticeFile], under: str, *, recursive: bool
) -> list[dict[str, Any]]:
    """Files and folders below a folder, in order of their paths."""
    prefix = f"{under}/" if under else ""
    entries: dict[str, dict[str, Any]] = {}
    for file in files:
        if not file.path.startswith(prefix):
            continue
        parents = file.path[len(prefix) :].split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            folder = prefix + "/".join(parents[:depth])
            entries[folder] = _folder(folder)
            if not recursive:
                break
        if recursive or not parents:
            entries[file.path] = _leaf(file)
    return [entries[path] for path in sorted(entries)]


def _folder(path: str) -> dict[str, Any]:
    oid = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _leaf(file: PracticeFile) -> dict[str, Any]:
    size = len(file.content)
    entry = {"type": "file", "oid": file.git_sha1, "size": size, "path": file.path}
    if file.is_big:
        pointer = len(file.pointer)
        entry["lfs"] = {"oid": file.sha256, "size": size, "pointerSize": pointer}
    return entry
