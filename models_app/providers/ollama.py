"""Ollama as a provider: its own store, filled from registry.ollama.ai by the server.

Sizes and digests come from the registry's manifest, everything else from the server.
Where the server refuses a route of its HTTP API, its own program is used instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from models_app.providers import ollama_words as words
from models_app.providers.base import (
    Check,
    Description,
    FetchNews,
    FoundModel,
    HalfModel,
    Manifest,
)
from models_app.providers.ollama_refusals import refusal, registry_refusal
from venom_site.clients.ollama import OllamaClient
from venom_site.clients.ollama_answers import PullLine
from venom_site.clients.ollama_cli import OllamaCli
from venom_site.clients.ollama_registry import OllamaRegistryClient
from venom_site.lib.errors import VenomError, WireError
from venom_site.lib.http_answers import Unsupported

UNLOAD_SECONDS = 10  # memory is freed after the answer; a running request holds it
LOOK_EVERY_SECONDS = 0.1
# Where the server keeps models: for a user of this machine, as a service, packaged.
STORES = (
    "~/.ollama/models",
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama",
)


class OllamaProvider:
    is_own_store = False

    def __init__(self, base_url: str, registry_url: str) -> None:
        self.source = urlsplit(registry_url).netloc
        self._base_url = base_url
        self._client = OllamaClient(base_url)
        self._registry = OllamaRegistryClient(registry_url)

    def close(self) -> None:
        self._client.close()
        self._registry.close()

    def canonical_name(self, name: str) -> str:
        return words.canonical_name(name)

    def measure(self, name: str, revision: str = "") -> Manifest | None:
        try:
            found = self._registry.manifest(name)
        except WireError as error:
            raise registry_refusal(error, name, self.source) from error
        if found is None:
            return None
        return Manifest(
            digest=found.digest,
            size_bytes=found.size_bytes,
            parts=tuple((layer.digest, layer.size_bytes) for layer in found.layers),
            complaint=words.complaint_about(
                name, found, no_cloud=settings.ENV.OLLAMA_NO_CLOUD
            ),
        )

    def list_installed(self) -> list[FoundModel]:
        try:
            listed = [words.found_model(entry) for entry in self._client.tags()]
        except Unsupported:
            listed = self._list_by_program()
        except WireError as error:
            raise self._refusal(error, "") from error
        no_cloud = settings.ENV.OLLAMA_NO_CLOUD
        return [model for model in listed if words.is_shown(model, no_cloud=no_cloud)]

    def _list_by_program(self) -> list[FoundModel]:
        """Names and rounded sizes: the program says no digest in full."""
        try:
            rows = self._program().installed()
        except WireError as error:
            raise self._refusal(error, "") from error
        return [
            FoundModel(name=name, digest="", size_bytes=size) for name, size in rows
        ]

    def describe(self, name: str, revision: str = "") -> Description:
        try:
            return words.description_of(self._client.show(name))
        except WireError as error:
            raise self._refusal(error, name) from error

    def fetch(
        self,
        name: str,
        revision: str = "",
        *,
        tell: Callable[[FetchNews], None],
        check: Check,
    ) -> None:
        def on_line(line: PullLine) -> None:
            if news := words.news_in(line):
                tell(news)

        try:
            self._client.pull(name, on_line=on_line, check=check)
        except Unsupported:
            self._fetch_by_program(name, tell=tell, check=check)
        except WireError as error:
            raise self._refusal(error, name) from error

    def _fetch_by_program(
        self, name: str, *, tell: Callable[[FetchNews], None], check: Check
    ) -> None:
        names = self._whole_digests(name)

        def on_line(line: PullLine) -> None:
            if news := words.news_in(line, names):
                tell(news)

        try:
            self._program().pull(name, on_line=on_line, check=check)
        except WireError as error:
            raise self._refusal(error, name) from error

    def _whole_digests(self, name: str) -> dict[str, str]:
        """The program names layers by their first twelve digits only."""
        with suppress(VenomError):
            if promised := self.measure(name):
                return {words.short(part): part for part, _ in promised.parts}
        return {}

    def remove(self, name: str, revision: str = "", *, check: Check) -> None:
        try:
            with suppress(Unsupported):  # then nobody can say what is in memory
                self._unload(name, check)
            self._client.delete(name)
        except Unsupported:
            self._remove_by_program(name, check)
        except WireError as error:
            raise self._refusal(error, name) from error

    def _remove_by_program(self, name: str, check: Check) -> None:
        try:
            self._program().remove(name, check=check)
        except WireError as error:
            raise self._refusal(error, name) from error

    def _unload(self, name: str, check: Check) -> None:
        """Free its memory; a request that runs on past the limit keeps it till then."""
        if not self._is_loaded(name):
            return
        check()
        try:
            self._client.keep(name, keep_alive=0)
        except WireError as error:
            if error.status != 404:  # somebody else removed it meanwhile
                raise
        ends = time.monotonic() + UNLOAD_SECONDS
        while self._is_loaded(name) and time.monotonic() < ends:
            check()
            time.sleep(LOOK_EVERY_SECONDS)

    def _is_loaded(self, name: str) -> bool:
        wanted = name.lower()  # the server compares without case
        return any(model.name.lower() == wanted for model in self._client.loaded())

    def list_partials(self) -> list[HalfModel]:
        return []

    def discard(self, name: str, revision: str = "") -> int:
        return 0

    def discard_note(self, name: str) -> str:
        return (
            f"Ollama keeps the half-fetched parts of {name} in its own store. The next "
            "install goes on with them; a restart of Ollama deletes those older than "
            "an hour unless OLLAMA_NOPRUNE is set there."
        )

    def store_folder(self) -> Path | None:
        if not _is_this_machine(urlsplit(self._base_url).hostname or ""):
            return None
        for place in STORES:
            with suppress(OSError, RuntimeError):  # not for our eyes; nobody's home
                folder = Path(place).expanduser()
                if folder.is_dir():
                    return folder
        return settings.ENV.data_dir

    def _program(self) -> OllamaCli:
        return OllamaCli(settings.ENV.OLLAMA_CLI, self._base_url)

    def _refusal(self, error: WireError, name: str) -> VenomError:
        return refusal(error, name, self._base_url)


def _is_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
