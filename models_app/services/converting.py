"""Carrying a conversion out, by the command of `VLLM_PREPARE_COMMAND`.

An install that fetches nothing: the command makes a new folder of a model that lies
here; it counts only once every file of it was read and hashed and vLLM would load it.
Every step may run twice; half of a folder is worth nothing and is begun anew.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from models_app.models import InstalledModel
from models_app.providers.base import DiskFull, ProviderFailed, StoreReadOnly
from models_app.providers.folders import read_folder
from models_app.providers.huggingface_found import digest_of
from models_app.providers.registry import own_store, provider_for
from models_app.providers.stored_models import MARKER, StoredFile, StoredModel
from models_app.services.machine import read_machine
from models_app.services.prepare import prepare_for_vllm
from models_app.services.registering import register
from models_app.services.steps import Steps
from models_app.services.storage import reservation, shortage, storage_of
from models_app.services.work import Work
from venom_site.clients import conversion as command
from venom_site.clients.downloads import partial_bytes
from venom_site.lib.errors import DoesNotFit, UpstreamFailed
from venom_site.lib.names import short_revision
from venom_site.lib.units import size_text

MOST_FILES = 5000
READ_BYTES = 8 * 2**20
LOOK_EVERY_SECONDS = 2.0
MOST_PROGRESS = 90.0  # what is written; the rest is its proof


class PrepareFailed(UpstreamFailed):
    """The command of VLLM_PREPARE_COMMAND ended badly, or made no model."""

    code = "prepare_failed"


class PrepareCommandMissing(UpstreamFailed):
    """VLLM_PREPARE_COMMAND names nothing that could be started."""

    code = "prepare_command_missing"


def perform_conversion(work: Work) -> None:
    """Raises the error that ends the operation; nothing half made is left."""
    _Run(work).perform()


class _Run:
    """One claim of one conversion."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.name = work.operation.model_name
        self.source = str(work.params["convert_from"])
        self.target = str(work.params["revision"])
        self.store = own_store()
        self.steps = Steps(work)
        self.needed = reservation(work.operation)
        self._looked = 0.0

    def perform(self) -> None:
        self.steps.enter("checking", progress=0)
        source = self._source()
        if not self._is_made():
            self._check_room()
            with _disk(self.store.root):
                self._make(source)
        self.steps.enter("registering")
        model = self._register()
        self.steps.leave()
        self.work.log(
            f"{self.name} was converted: {size_text(model.size_bytes or 0)} as "
            f"revision {model.short_revision} in {self.work.duration()}."
        )

    def _source(self) -> StoredModel:
        found = self.store.find(self.name, self.source)
        if found is None:
            raise ProviderFailed(
                f"{self.name} no longer lies here as revision "
                f"{short_revision(self.source)}. Install it again."
            )
        if found.error:
            raise ProviderFailed(str(found.error))
        return found

    def _is_made(self) -> bool:
        """By an earlier claim that ended before it could say so."""
        made = self.store.find(self.name, self.target)
        return made is not None and not made.error

    def _check_room(self) -> None:
        operation = self.work.operation
        storage = storage_of(
            operation.node, without=operation, provider=operation.provider
        )
        lacking = shortage(storage, self.needed)
        if lacking is not None:
            raise DoesNotFit(
                f"Converting {self.name} needs {size_text(lacking.needed_bytes)}, the "
                f"{lacking.limit} leaves {size_text(lacking.free_bytes)}. Remove "
                "models and press Retry."
            )

    def _make(self, source: StoredModel) -> None:
        making = self.store.making(self.name, self.target, check=self.work.check)
        with making as (folder, lock):
            self.steps.enter("preparing")
            self._run_command(source, folder, lock)
            self.steps.enter("verifying", progress=MOST_PROGRESS)
            self._source()  # it was only to be read
            files = self._prove(folder)
            self.store.finish(
                self.name,
                self.target,
                digest=digest_of(files),
                files=files,
                license=source.license,
            )

    def _run_command(self, source: StoredModel, folder: Path, lock: int) -> None:
        values = {
            "source": str(source.folder),
            "target": str(folder),
            "dtype": str(self.work.params.get("dtype", "")),
            "quantization": str(self.work.params.get("quantization", "")),
        }
        try:
            command.convert(
                command.words_of(settings.ENV.VLLM_PREPARE_COMMAND, values),
                folder=folder.parent,
                say=self._hear,
                check=lambda: self._look(folder),
                grace_seconds=settings.ENV.VENOM_STOP_GRACE_SECONDS,
                keep=(lock,),
            )
        except command.CommandMissing as error:
            raise PrepareCommandMissing(
                f"{error} Set it right, restart the worker, then press Retry."
            ) from error
        except command.CommandFailed as error:
            raise PrepareFailed(
                f"The command of VLLM_PREPARE_COMMAND failed: {error}"
            ) from error

    def _hear(self, line: str) -> None:
        self.work.note(line=line)
        self.work.report(message=line)

    def _look(self, folder: Path) -> None:
        """Called all the time; how much is written is counted now and then."""
        self.work.check()
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_SECONDS:
            return
        self._looked = now
        share = partial_bytes(folder) / max(1, self.needed)
        self.work.report(progress=min(MOST_PROGRESS, MOST_PROGRESS * share))

    # Proof

    def _prove(self, folder: Path) -> list[StoredFile]:
        _clear_notes(folder)
        found = read_folder(folder)
        if not found.safetensors:
            raise _no_model("it left no safetensors")
        said = prepare_for_vllm(
            folder,
            machine=read_machine(),
            name=self.name,
            **self.work.params.get("wish", {}),
        )
        bad = next((c for c in said.checks if not c.ok or c.mend), None)
        if bad is not None:
            raise _no_model(f"{bad.name}: {bad.message}")
        if said.action != "none":
            raise _no_model("it is too large for the GPU")
        return [self._hashed(folder, path) for path in _files_of(folder)]

    def _hashed(self, folder: Path, path: str) -> StoredFile:
        """Read to the end and on the disk for certain."""
        count, hasher = 0, sha256()
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(folder / path, flags), "rb") as file:
            while block := file.read(READ_BYTES):
                self.work.check()
                hasher.update(block)
                count += len(block)
            os.fsync(file.fileno())
        return StoredFile(path=path, size_bytes=count, sha256=hasher.hexdigest())

    def _register(self) -> InstalledModel:
        operation = self.work.operation
        provider = provider_for(operation.provider)
        for found in provider.list_installed():
            is_it = found.name.lower() == self.name.lower()
            if is_it and found.revision == self.target:
                return register(
                    operation.node,
                    found,
                    provider=operation.provider,
                    description=provider.describe(found.name, found.revision),
                    installed_by=operation.started_by,
                    source=f"converted here from {short_revision(self.source)}",
                )
        raise ProviderFailed(f"{self.name} was made but is not listed. Press Retry.")


def _no_model(reason: str) -> PrepareFailed:
    return PrepareFailed(
        "The command of VLLM_PREPARE_COMMAND ended well, but what it made cannot be "
        f"used: {reason.rstrip('.')}. Nothing of it was kept."
    )


def _clear_notes(folder: Path) -> None:
    """A command that copies also copies our marker, which tells of other files."""
    (folder / MARKER).unlink(missing_ok=True)


def _files_of(folder: Path) -> list[str]:
    """Plain files with plain names, in order; a link could lead anywhere."""
    found = sorted(str(path.relative_to(folder)) for path in _walk(folder))
    if len(found) > MOST_FILES:
        raise _no_model(f"it has more than {MOST_FILES} files")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        for name in (*below, *names):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not name.isprintable():  # also what is no text
                raise _no_model("a file's name holds characters that are no text")
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _no_model(f"{name[:80]} is a link or no plain file")
            if stat.S_ISREG(mode):
                yield path


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"The disk of {root} is full. Free some space, then press Retry."
            ) from error
        raise StoreReadOnly(
            f"{root} cannot be written: {error.strerror}. Make it writable, then "
            "press Retry."
        ) from error
