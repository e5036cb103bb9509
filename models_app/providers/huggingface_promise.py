"""What of a repository is fetched, and nothing that nobody could prove. Pure."""

from __future__ import annotations

from models_app.providers.base import NoWeights, ProviderFailed, UnsafeFile
from models_app.providers.huggingface_files import choose_files
from models_app.providers.stored_models import MARKER
from models_app.reasons import because
from venom_site.clients.huggingface import HubFile, HubRepo


def chosen_files(repo: HubRepo, name: str, source: str) -> list[HubFile]:
    """What its runtime needs; nothing of a repository that means us harm.

    Raises `UnsafeFile`, `NoWeights`, or `ProviderFailed` where a hash is missing.
    """
    for file in repo.files:
        if {"", ".", ".."} & set(file.path.split("/")):
            raise UnsafeFile(because("path_leaves_folder", name=name))
    choice = choose_files(repo.files, name)
    if not choice.files:
        raise NoWeights(choice.complaint)
    chosen = [file for file in choice.files if file.path != MARKER]
    for file in chosen:
        if not (file.sha256 or file.git_sha1):
            reason = because("hash_missing", source=source, file=file.path, name=name)
            raise ProviderFailed(reason)
    return chosen
