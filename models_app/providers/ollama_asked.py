"""What the registry is asked about the tags of one model, a few at once.

Used by `ollama_catalogue.py`. Every answer makes a variant more exact and none is
needed: what does not come in time, or fails, is left out, and a registry that asks for
rest or is away is asked nothing more. One model costs it about 50 small requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TypeVar

from models_app.providers import ollama_words as words
from models_app.providers.ollama_listed import Offer, Seen
from venom_site.clients.gguf import header_of
from venom_site.clients.gguf_header import GgufHeader
from venom_site.clients.ollama_registry import (
    OllamaRegistryClient,
    RegistryConfig,
    RegistryManifest,
)
from venom_site.lib.errors import WireError

MOST_MANIFESTS, MOST_CONFIGS, MOST_HEADERS = 30, 8, 6
AT_ONCE = 4
HEADER_BYTES = 128 * 1024  # reaches to the words of the tokenizer
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What shall be asked of one tag beside its manifest."""

    name: str
    config: bool = False
    header: bool = False
    license: bool = False


def ask_about(
    registry: OllamaRegistryClient,
    model: str,
    offers: Sequence[Offer],
    *,
    ends: float,
) -> list[Seen]:
    """One answer for each offer, empty ones beyond the first 30; over by `ends`, a
    moment of the monotonic clock."""
    questions = _Questions(registry, ends)
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ollama-registry")
    asked = [
        pool.submit(questions.answer, wish)
        for wish in _wishes(model, offers[:MOST_MANIFESTS])
    ]
    wait(asked, timeout=max(0.0, ends - time.monotonic()))
    questions.is_over.set()
    pool.shutdown(wait=False, cancel_futures=True)
    seen = [_heard(each) for each in asked]
    seen += [Seen()] * (len(offers) - len(seen))
    return _with_headers(offers, seen)


def _wishes(model: str, offers: Sequence[Offer]) -> list[_Wish]:
    """A header for each size, as quantizations of one size differ in nothing else; a
    config where no tag names the quantization; the licence once."""
    wishes: list[_Wish] = []
    sizes: set[str] = set()
    for place, offer in enumerate(offers):
        label = offer.size_label
        is_new = not label or label not in sizes
        sizes.add(label)
        wishes.append(
            _Wish(
                name=f"{model}:{offer.tags[0]}",
                header=is_new and sum(w.header for w in wishes) < MOST_HEADERS,
                config=(place == 0 or not offer.quantization)
                and sum(w.config for w in wishes) < MOST_CONFIGS,
                license=place == 0,
            )
        )
    return wishes


class _Questions:
    """Asks for as long as there is time and nobody is overrun."""

    def __init__(self, registry: OllamaRegistryClient, ends: float) -> None:
        self._registry = registry
        self._ends = ends
        self.is_over = threading.Event()
        self._without_blobs = threading.Event()  # their host is another one

    def answer(self, wish: _Wish) -> Seen:
        if self._must_stop():
            return Seen()
        try:
            manifest = self._registry.manifest(wish.name)
        except WireError as error:
            self._note(error, self.is_over)
            return Seen(is_missing=error.status == 404)
        if manifest is None:
            return Seen()
        return Seen(
            manifest=manifest,
            config=self._config(wish, manifest),
            header=self._header(wish, manifest),
            license=self._license(wish, manifest),
        )

    def _config(self, wish: _Wish, found: RegistryManifest) -> RegistryConfig | None:
        if not wish.config:
            return None
        return self._blob(lambda: self._registry.config(wish.name, found))

    def _header(self, wish: _Wish, found: RegistryManifest) -> GgufHeader | None:
        digest = _digest_of(found, words.MODEL_LAYER)
        if not (wish.header and digest):
            return None
        return self._blob(
            lambda: header_of(
                self._registry.blob_start(wish.name, digest, HEADER_BYTES)
            )
        )

    def _license(self, wish: _Wish, found: RegistryManifest) -> str:
        digest = _digest_of(found, words.LICENSE_LAYER)
        if not (wish.license and digest):
            return ""
        text = self._blob(lambda: self._registry.blob(wish.name, digest))
        plain = (text or b"").decode("utf-8", "replace").replace("\0", "")
        return words.first_line(plain)

    def _blob(self, call: Callable[[], Result]) -> Result | None:
        if self._must_stop() or self._without_blobs.is_set():
            return None
        try:
            return call()
        except WireError as error:
            self._note(error, self._without_blobs)
            return None

    def _must_stop(self) -> bool:
        return self.is_over.is_set() or time.monotonic() > self._ends

    def _note(self, error: WireError, event: threading.Event) -> None:
        """A neighbour that is away, slow or overrun is left alone."""
        if error.status == 429 or error.reason_code in {"OFFLINE", "FALLBACK_TIMEOUT"}:
            event.set()


def _digest_of(manifest: RegistryManifest, media_type: str) -> str:
    layers = (each for each in manifest.layers if each.media_type == media_type)
    return next((layer.digest for layer in layers), "")


def _heard(asked: Future[Seen]) -> Seen:
    is_there = asked.done() and not asked.cancelled()
    return asked.result() if is_there else Seen()


def _with_headers(offers: Sequence[Offer], seen: list[Seen]) -> list[Seen]:
    """The header of a size for all that have this size and none of their own."""
    headers: dict[str, GgufHeader] = {}
    for offer, each in zip(offers, seen, strict=True):
        if each.header is not None and offer.size_label:
            headers.setdefault(offer.size_label, each.header)
    return [
        replace(each, header=headers[offer.size_label], is_own_header=False)
        if each.header is None and offer.size_label in headers
        else each
        for offer, each in zip(offers, seen, strict=True)
    ]
