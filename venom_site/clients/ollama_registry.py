"""The wire to Ollama's registry: what a name stands for, before anything is pulled.

Used by `models_app/providers/ollama.py` and `ollama_catalogue.py`. Public models need
no token. The SHA-256 of the manifest's bytes is the digest that Ollama lists later, and
its sizes add up to the size listed (seen 2026). Five seconds for each call, a look-up
of the host's name included.

Blobs lie at another host to which the registry leads (307, seen 2026). It is followed
once, without a header that could tell who asks, and never from https to http.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from venom_site.lib import http
from venom_site.lib.errors import WireError

TOTAL_SECONDS = 5
MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LARGEST_SIZE = 2**62
MOST_LAYERS = 10_000
LARGEST_SMALL = 256 * 1024  # a config has 500 bytes, a licence up to 50 kB
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LEADS_ON = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One blob; `digest` with its `sha256:`, as the lines of a pull write it."""

    media_type: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryManifest:
    """`digest` is bare hex; `layers` in the order of a pull, the config at the end."""

    digest: str
    layers: tuple[Layer, ...]

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """What a model's config says; empty and None where it does not."""

    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    format: str = ""
    context_length: int | None = None
    is_remote: bool = False


class OllamaRegistryClient:
    """One registry; kept between calls, safe to use from several threads."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._wire = http.client(base_url)

    def close(self) -> None:
        self._wire.close()

    def manifest(self, name: str) -> RegistryManifest | None:
        """What a name with a tag stands for; None for a name of another host.

        Raises `WireError`: status 404 nobody has it, 401 and 403 it is not for us;
        `reason_code` OFFLINE or FALLBACK_TIMEOUT when the registry does not answer.
        """
        if name.count("/") > 1:
            return None
        path = f"{_repository(name)}/manifests/{name.rpartition(':')[2]}"
        body = http.within(TOTAL_SECONDS, self._base_url, lambda: self._get(path))
        return _read(body)

    def config(self, name: str, manifest: RegistryManifest) -> RegistryConfig:
        """The last of its layers, read; raises as `manifest` does."""
        return _config(self.blob(name, manifest.layers[-1].digest))

    def blob(self, name: str, digest: str) -> bytes:
        """A small blob whole, proved by its digest: a config or a licence."""
        body = self.blob_start(name, digest, LARGEST_SMALL + 1)
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            raise WireError("A blob of the registry is not what its digest says.")
        return body

    def blob_start(self, name: str, digest: str, length: int) -> bytes:
        """At most that many of its first bytes, not proved by anything."""
        if not _DIGEST.fullmatch(digest):
            raise WireError("The registry names a blob by something else than SHA-256.")
        path = f"{_repository(name)}/blobs/{digest}"
        return http.within(
            TOTAL_SECONDS, self._base_url, lambda: self._start(path, length)
        )

    def _start(self, path: str, length: int) -> bytes:
        reply = _begin(self._wire, path, length)
        if reply.status not in _LEADS_ON:
            return _body_of(reply, self._base_url)
        place = _place(self._base_url, reply.headers.get("location", ""))
        with closing(http.client(place)) as wire:
            return _body_of(_begin(wire, place, length), place)

    def _get(self, path: str) -> bytes:
        accept = {"Accept": MEDIA_TYPE}
        return http.ask_bytes(
            self._wire, path, headers=accept, total_seconds=TOTAL_SECONDS
        )


def _repository(name: str) -> str:
    namespace, _, model = name.rpartition(":")[0].rpartition("/")
    return f"/v2/{namespace or 'library'}/{model}"


def _place(base_url: str, location: str) -> str:
    """Where a redirect leads; `WireError` where that is no place to go."""
    try:
        place = urljoin(base_url, location)
        target = urlsplit(place)
    except ValueError:
        target = urlsplit("")
    allowed = {"https"} if base_url.startswith("https:") else {"http", "https"}
    if not location or target.scheme not in allowed or not target.hostname:
        raise WireError("The registry leads to a place nobody may go.")
    return place


def _begin(wire: Any, path: str, length: int) -> http.Reply:
    return http.ask_reply(
        wire,
        path,
        headers={"Range": f"bytes=0-{length - 1}", "Accept-Encoding": "identity"},
        total_seconds=TOTAL_SECONDS,
        limit_bytes=length,
        only_begin=True,
    )


def _body_of(reply: http.Reply, place: str) -> bytes:
    if reply.status not in {200, 206}:
        raise WireError(
            f"{urlsplit(place).netloc} answered {reply.status} for a blob.",
            permanent=400 <= reply.status < 500 and reply.status != 429,
            status=reply.status,
        )
    return reply.body


def _read(body: bytes) -> RegistryManifest:
    try:
        manifest = json.loads(body)
        entries = [*manifest["layers"], manifest["config"]]
        layers = tuple(map(_layer, entries[:MOST_LAYERS]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WireError("The registry's answer is no manifest.") from None
    return RegistryManifest(digest=hashlib.sha256(body).hexdigest(), layers=layers)


def _layer(entry: dict[str, Any]) -> Layer:
    size, digest = entry["size"], entry["digest"]
    if type(size) is not int or not 0 <= size <= LARGEST_SIZE // MOST_LAYERS:
        raise ValueError(size)
    return Layer(
        media_type=str(entry.get("mediaType", "")), digest=str(digest), size_bytes=size
    )


def _config(body: bytes) -> RegistryConfig:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise WireError("The config of a model is no JSON object.")

    def text(field: str) -> str:
        value = told.get(field)
        return value.replace("\0", "")[:80] if isinstance(value, str) else ""

    length = told.get("context_length")
    is_length = type(length) is int and 0 < length <= LARGEST_SIZE
    return RegistryConfig(
        family=text("model_family"),
        parameter_size=text("model_type"),
        quantization=text("file_type"),
        format=text("model_format"),
        context_length=length if is_length else None,
        is_remote=bool(told.get("remote_host") or told.get("remote_model")),
    )
