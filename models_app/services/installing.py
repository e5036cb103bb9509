"""Carrying an install out: fetch, prove, register, and let the activation follow.

Every step may run twice. A provider that goes away in the middle is waited for; what
it has fetched stays in its own store, and the next fetch goes on there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from models_app.choices import LogLevel, ModelStatus
from models_app.models import InstalledModel
from models_app.providers.base import (
    AccessDenied,
    Description,
    DigestMismatch,
    FetchNews,
    FoundModel,
    Manifest,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    SourceBusy,
    UnsupportedModel,
)
from models_app.providers.registry import provider_for
from models_app.services.complaints import settled
from models_app.services.converting import perform_conversion
from models_app.services.install_follow_up import start_activation
from models_app.services.patience import GIVE_UP_SECONDS, Patience
from models_app.services.registering import register
from models_app.services.steps import Steps
from models_app.services.storage import reservation, shortage, storage_of, version_of
from models_app.services.transfer import Transfer
from models_app.services.work import Work
from venom_site.lib.errors import DoesNotFit
from venom_site.lib.units import size_text

WORTH_TELLING_BYTES = 10**6
LONGEST_WISH_SECONDS = 300.0  # the Hub's window
Answer = TypeVar("Answer")


def perform_install(work: Work) -> None:
    """Raises the error that ends the operation; what was fetched is kept."""
    if work.operation.is_conversion:
        perform_conversion(work)
        return
    Installation(work).perform()


class Installation:
    """One claim of one install: the way through its steps and what it knows."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.name = work.operation.model_name
        self.provider = provider_for(work.operation.provider)
        self.revision = version_of(work.operation)[1]
        self.steps = Steps(work)
        self.transfer = Transfer()
        self._away_since: float | None = None
        self._shown = -1

    def perform(self) -> None:
        self.steps.enter("checking")
        self._check_room()
        self.steps.enter("resolving")
        self._resolve()
        if self.provider.is_own_store:
            self._check_room(self.transfer.total)  # now it is known for certain
        self._patiently(self._fetch)
        self.steps.pass_to("verifying")
        self.transfer.complete()
        self._show()
        found, complaint = self._verify()
        self.steps.enter("registering")
        self._register(found, complaint)
        self.steps.leave()
        self.work.log(
            f"{found.name} is installed: {size_text(found.size_bytes)} in "
            f"{self.work.duration()}."
        )
        start_activation(self.work)

    # Before the first byte

    def _check_room(self, size: int | None = None) -> None:
        """Once more: it may have waited for days, and been larger than was thought."""
        operation = self.work.operation
        needed = reservation(operation)
        if needed and size is not None:
            needed = max(needed, size)
        storage = storage_of(
            operation.node, without=operation, provider=operation.provider
        )
        lacking = shortage(storage, needed, here=operation.bytes_done or 0)
        if lacking is not None:
            raise DoesNotFit(
                f"{self.name} still needs {size_text(lacking.needed_bytes)}, the "
                f"{lacking.limit} leaves {size_text(lacking.free_bytes)}. Remove "
                "models and press Retry."
            )

    def _resolve(self) -> None:
        """What the source promises now; else what it promised an earlier claim."""
        kept = self.work.operation.checkpoint
        manifest = self._promise()
        if manifest is not None:
            if manifest.complaint:
                raise UnsupportedModel(str(manifest.complaint))
            kept = {"digest": manifest.digest, "size_bytes": manifest.size_bytes}
            if manifest.revision:  # fetched from here on, whatever a branch does
                self.revision = kept["revision"] = manifest.revision
            self.work.checkpoint(line=self._promise_text(manifest), **kept)
        size = kept.get("size_bytes")
        before = self.work.operation.bytes_done or 0
        self.transfer = Transfer(size, before=before)
        if size is not None:
            self.work.report(bytes_total=size)

    def _promise(self) -> Manifest | None:
        """None where nobody can say: the server itself may know better. Where we fetch
        ourselves there is nobody else to ask."""
        if self.provider.is_own_store:
            return self._patiently(self._measure)
        try:
            return self._measure()
        except (ModelNotFound, AccessDenied, ProviderAway, ProviderFailed) as error:
            self.work.log(f"Size not known beforehand: {error}", LogLevel.WARNING)
            return None

    def _measure(self) -> Manifest | None:
        manifest = self.provider.measure(self.name, self.revision)
        return manifest and settled(manifest)

    def _promise_text(self, manifest: Manifest) -> str:
        files = len(manifest.parts)
        of_commit = (
            f" in {files} files of commit {manifest.revision[:12]}"
            if manifest.revision
            else ""
        )
        return (
            f"{self.provider.source} promises {size_text(manifest.size_bytes)}"
            f"{of_commit} with the digest "
            f"{manifest.digest.removeprefix('sha256:')[:12]}. {manifest.remark}".strip()
        )

    # Bytes

    def _fetch(self) -> None:
        self.transfer.begin()
        self.provider.fetch(
            self.name, self.revision, tell=self._hear, check=self.work.check
        )

    def _hear(self, news: FetchNews) -> None:
        """Called in the midst of the stream: writes nothing itself."""
        if news.words:
            self.work.note(line=news.words, level=LogLevel.WARNING)
        elif news.phase == "downloading":
            self.steps.pass_to("downloading")
            lost = self.transfer.saw(news.part, news.done, news.total)
            self._note_what_changed(lost)
            self._show()
        elif news.phase != "resolving":  # the store's own words for its last steps
            self.steps.pass_to("verifying")

    def _note_what_changed(self, lost: int) -> None:
        if lost > WORTH_TELLING_BYTES:
            self.work.note(
                line=f"{size_text(lost)} of an earlier attempt are gone"
                + (
                    " and are fetched again."
                    if self.provider.is_own_store
                    else ": the server clears half downloads away when it restarts."
                ),
                level=LogLevel.WARNING,
            )
        away = self._away_since
        if away is not None and self.transfer.moved_at > away:
            self._away_since = None
            self.work.note(line="Bytes come again.")

    def _show(self) -> None:
        """Bytes only when there are more: what repeats is no progress."""
        transfer = self.transfer
        if transfer.done == self._shown:
            self.work.report(speed_bps=transfer.speed_bps)
            return
        self._shown = transfer.done
        self.work.report(
            progress=transfer.percent,
            bytes_done=transfer.done,
            bytes_total=transfer.total,
            speed_bps=transfer.speed_bps,
            message=f"Downloading from {self.provider.source}",
        )

    def _patiently(self, call: Callable[[], Answer]) -> Answer:
        """The answer of a provider that may be away for a while."""
        patience = Patience()
        while True:
            try:
                answer = call()
            except ProviderAway as error:
                patience.moved(self.transfer.moved_at)
                self._wait(error, patience)
            else:
                self._away_since = None
                return answer

    def _wait(self, error: ProviderAway, patience: Patience) -> None:
        pause = patience.next_pause(_wished(error))
        if pause is None:
            raise ProviderAway(
                f"{error} Nothing came for {GIVE_UP_SECONDS / 60:.0f} minutes. What "
                "has come is kept: press Retry once it answers again."
            ) from error
        if self._away_since is None:
            self._away_since = patience.now()
            self.work.log(f"{error} Waiting for it.", LogLevel.WARNING)
        self.work.report(
            message=f"{error} Trying again in {pause:.0f} s.", speed_bps=None
        )
        self.work.wait(pause)

    # Proof

    def _verify(self) -> tuple[FoundModel, str]:
        """The model as the store lists it, and what is wrong with it, if anything."""
        found = self._patiently(self._listed)
        if self._is_as_promised(found):
            return found, ""
        manifest = self._promise()  # the tag may have moved while the bytes came
        if manifest is not None and manifest.digest != self._promised:
            self.work.checkpoint(
                line="The source has a newer version since; comparing with that.",
                digest=manifest.digest,
            )
        if self._is_as_promised(found):
            return found, ""
        return found, (
            f"{self.name} has the digest {found.digest[:12]}, but "
            f"{self.provider.source} promised {self._promised[:12]}. Install it again, "
            "or remove it."
        )

    @property
    def _promised(self) -> str:
        return str(self.work.operation.checkpoint.get("digest", ""))

    def _is_as_promised(self, found: FoundModel) -> bool:
        """Also when one of the two is not known: then there is nothing to compare."""
        return not self._promised or found.digest in ("", self._promised)

    def _listed(self) -> FoundModel:
        wanted = self.name.lower()
        for found in self.provider.list_installed():
            if found.name.lower() == wanted and found.revision == self.revision:
                return found
        raise ProviderFailed(
            f"The server says that {self.name} has come, but does not list it. Look "
            "at the server's own log, then press Retry."
        )

    def _register(self, found: FoundModel, complaint: str) -> InstalledModel:
        model = register(
            self.work.operation.node,
            found,
            provider=self.work.operation.provider,
            description=self._description(),
            installed_by=self.work.operation.started_by,
            source=self.provider.source,
            status=ModelStatus.BROKEN if complaint else ModelStatus.INSTALLED,
            error=complaint,
        )
        if complaint:
            raise DigestMismatch(complaint)
        return model

    def _description(self) -> Description | None:
        """Not worth failing for: discovery asks again."""
        try:
            return self._patiently(
                lambda: self.provider.describe(self.name, self.revision)
            )
        except (ProviderFailed, ModelNotFound) as error:
            self.work.log(f"Not described yet: {error}", LogLevel.WARNING)
            return None


def _wished(error: ProviderAway) -> float:
    """Who asks us to wait knows why; longer than this we would seem dead."""
    wanted = error.wait_seconds if isinstance(error, SourceBusy) else 0
    return min(wanted, LONGEST_WISH_SECONDS)
