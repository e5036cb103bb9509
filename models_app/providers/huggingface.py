"""Hugging Face as a provider: files of a commit, fetched into our own folder store.

The Hub says what a commit holds and what proves each file; `clients/downloads.py`
brings and proves the bytes; `folder_store.py` gives the folder its name once all of it
is there. Folders of `MODELS_SCAN_DIRS` are listed too and never written to.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from models_app.providers import folders
from models_app.providers import huggingface_words as words
from models_app.providers.base import (
    Check,
    Description,
    DiskFull,
    FetchNews,
    FoundModel,
    HalfModel,
    Manifest,
    ModelNotFound,
    ProviderFailed,
    StoreReadOnly,
)
from models_app.providers.folder_store import FolderStore
from models_app.providers.huggingface_files import choose_files
from models_app.providers.huggingface_found import (
    clear_others,
    digest_of,
    found,
    found_elsewhere,
    key_of,
    stored,
)
from models_app.providers.huggingface_progress import Progress
from models_app.providers.huggingface_promise import chosen_files
from models_app.providers.scan_folders import ForeignModel, foreign_models, owner_of
from models_app.providers.stored_models import StoredModel
from venom_site.clients.downloads import (
    Download,
    DownloadRefused,
    RemoteFile,
    partial_bytes,
)
from venom_site.clients.huggingface import HubClient, HubFile, HubRefused, HubRepo
from venom_site.lib.errors import ForeignFolder, VenomError, WireError

MEASURE_SECONDS = 5.0
Answer = TypeVar("Answer")


class HuggingFaceProvider:
    is_own_store = True

    def __init__(
        self, endpoint: str, token: str, root: Path, scanned: tuple[Path, ...] = ()
    ) -> None:
        self.source = urlsplit(endpoint).netloc
        self._client = HubClient(endpoint, token)
        self._store = FolderStore(root)
        self._scanned = scanned

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def canonical_name(self, name: str) -> str:
        return words.canonical_name(name)

    # What the Hub promises

    def measure(self, name: str, revision: str = "") -> Manifest | None:
        repo, chosen = self._promised(name, revision)
        if repo.gated:  # its files are listed for everybody, given to some
            self._ask(name, lambda: self._client.check_access(name))
        return Manifest(
            digest=digest_of(chosen),
            size_bytes=sum(file.size_bytes or 0 for file in chosen),
            parts=tuple((file.path, file.size_bytes or 0) for file in chosen),
            complaint=choose_files(repo.files, name).complaint,
            name=repo.id,
            revision=repo.commit,
        )

    def _promised(self, name: str, revision: str) -> tuple[HubRepo, list[HubFile]]:
        """The commit that `revision` means now, and the files of it that are needed."""
        repo = self._ask(
            name,
            lambda: self._client.model(name, revision, total_seconds=MEASURE_SECONDS),
        )
        if repo.id.lower() != name.lower():
            raise ModelNotFound(
                f"{name} has moved to {repo.id}. Install it under that name."
            )
        if repo.is_disabled:
            off = HubRefused(f"{self.source} switched {name} off.", case="disabled")
            raise self._refusal(off, name)
        return repo, chosen_files(repo, name, self.source)

    def _ask(self, name: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except WireError as error:
            raise self._refusal(error, name) from error

    def _refusal(self, error: WireError, name: str) -> VenomError:
        page, has_token = self._client.page_url(name), self._client.has_token()
        if isinstance(error, DownloadRefused):
            return words.download_refusal(error, name, page, has_token=has_token)
        return words.hub_refusal(error, name, page, has_token=has_token)

    # What lies here

    def list_installed(self) -> list[FoundModel]:
        try:
            ours = [found(model) for model in self._store.models()]
        except OSError as error:
            raise ProviderFailed(
                f"The folder {self._store.root} cannot be read: {error.strerror}."
            ) from error
        known = set(map(key_of, ours))
        others = [
            found_elsewhere(model)
            for model in foreign_models(list(self._scanned), but=self._store.root)
        ]
        return ours + [each for each in others if key_of(each) not in known]

    def describe(self, name: str, revision: str = "") -> Description:
        """Read from its files: the Hub is not asked, so it may be away."""
        for model in self.list_installed():
            if key_of(model) == (name.lower(), revision):
                said = folders.describe_folder(Path(model.path))
                held = None if model.is_foreign else self._store.find(name, revision)
                return replace(said, license=said.license or _license(held))
        raise ModelNotFound(f"{name} does not lie here.")

    def list_partials(self) -> list[HalfModel]:
        return [
            HalfModel(
                name=half.name,
                revision=half.revision,
                size_bytes=half.size_bytes,
            )
            for half in self._store.halves()
        ]

    def store_folder(self) -> Path | None:
        """The nearest folder of the store's path that is there already."""
        root = self._store.root
        return next((path for path in (root, *root.parents) if path.is_dir()), None)

    # Coming and going

    def fetch(
        self,
        name: str,
        revision: str = "",
        *,
        tell: Callable[[FetchNews], None],
        check: Check,
    ) -> None:
        tell(FetchNews(phase="resolving"))
        repo, chosen = self._promised(name, revision)
        try:
            if not self._has(name, repo.commit, chosen):
                self._fetch(name, repo, chosen, tell=tell, check=check)
        except OSError as error:
            raise self._unwritable(error) from error

    def _fetch(
        self,
        name: str,
        repo: HubRepo,
        chosen: Sequence[HubFile],
        *,
        tell: Callable[[FetchNews], None],
        check: Check,
    ) -> None:
        with self._store.fetching(name, repo.commit, check=check) as folder:
            if self._has(name, repo.commit, chosen):  # whoever we waited for had it
                folder.rmdir()
                return
            self._download(folder, name, repo.commit, chosen, tell=tell, check=check)
            tell(FetchNews(phase="verifying"))
            files = stored(folder, chosen)
            digest = digest_of(chosen)
            self._store.finish(
                name, repo.commit, digest=digest, files=files, license=repo.license
            )

    def _unwritable(self, error: OSError) -> VenomError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(
                f"The disk of {self._store.root} is full. What has come is kept. Free "
                "some space, then press Retry."
            )
        return StoreReadOnly(
            f"{self._store.root} cannot be written: {error.strerror}. Make it "
            "writable, or choose another MODELS_CACHE_DIR; then press Retry."
        )

    def _has(self, name: str, commit: str, chosen: Sequence[HubFile]) -> bool:
        held = self._store.find(name, commit)
        return held is not None and not held.error and held.digest == digest_of(chosen)

    def _download(
        self,
        folder: Path,
        name: str,
        commit: str,
        chosen: Sequence[HubFile],
        *,
        tell: Callable[[FetchNews], None],
        check: Check,
    ) -> None:
        total = sum(file.size_bytes or 0 for file in chosen)
        shown = Progress(name, total, partial_bytes(folder), tell)
        files = [self._remote(name, commit, file) for file in chosen]
        try:
            # Who asks the downloader says itself; twice would be a bad request.
            headers = {
                name: value
                for name, value in self._client.headers().items()
                if name.lower() == "authorization"
            }
            Download(folder, files, headers=headers).run(
                tell=shown.saw,
                check=check,
                verifying=shown.verifying,
                say=lambda said: tell(FetchNews(phase="downloading", words=said)),
            )
        except WireError as error:
            raise self._refusal(error, name) from error
        clear_others(folder, {file.path for file in chosen})

    def _remote(self, name: str, commit: str, file: HubFile) -> RemoteFile:
        return RemoteFile(
            path=file.path,
            url=self._client.file_url(name, commit, file.path),
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            git_sha1=file.git_sha1,
        )

    def remove(self, name: str, revision: str = "", *, check: Check) -> None:
        check()
        held = self._foreign(name, revision)
        if held is not None and self._store.find(name, revision) is None:
            raise ForeignFolder(
                f"{held.folder} belongs to {owner_of(held.folder)}; nothing is ever "
                "deleted in MODELS_SCAN_DIRS. Delete it there.",
                path=str(held.folder),
            )
        try:
            self._store.remove(name, revision)
        except OSError as error:
            raise ProviderFailed(
                f"{name} cannot be deleted: {error.strerror}. Make "
                f"{self._store.folder(name, revision)} writable, then press Retry."
            ) from error

    def _foreign(self, name: str, revision: str) -> ForeignModel | None:
        wanted = (name.lower(), revision)
        for model in foreign_models(list(self._scanned), but=self._store.root):
            if (model.name.lower(), model.revision) == wanted:
                return model
        return None

    def discard(self, name: str, revision: str = "") -> int:
        try:
            return self._store.discard(name, revision)
        except WireError as error:
            raise self._refusal(error, name) from error
        except OSError as error:
            raise self._unwritable(error) from error

    def discard_note(self, name: str) -> str:
        return f"Its half-fetched files are deleted; an install of {name} starts anew."


def _license(model: StoredModel | None) -> str:
    """As the Hub named it when it was fetched: the card itself is not."""
    return model.license if model else ""
