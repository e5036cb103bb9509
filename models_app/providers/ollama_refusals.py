"""What an Ollama and its registry refuse, in the product's words: a reason each.

Vendor texts as of 0.16 to 0.33; what is not known here becomes `ProviderFailed` with
the vendor's own sentence in brackets.
"""

from __future__ import annotations

import re

from models_app.providers.base import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    ModelNotFound,
    ProviderAway,
    ProviderFailed,
    UnsupportedModel,
)
from models_app.reasons import LONGEST_VALUE, because
from venom_site.lib.errors import VenomError, WireError
from venom_site.lib.http_answers import Unsupported

_DISK = re.compile(r"no space left|not enough (?:disk )?space|disk quota|disk is full")
_MISMATCH = re.compile(r"digest mismatch")
_UNFIT = re.compile(
    r"requires (?:mlx|a newer)|newer version of ollama|incompatible with"
)
_DENIED = re.compile(
    r"unauthori[sz]ed|access denied|forbidden|sign in|\b40[13]: |answered 40[13]\b"
)
_MISSING = re.compile(
    r"file does not exist|manifest unknown|not found|\b404: |answered 404\b"
)
_PASSING = re.compile(
    r"max retries|timeout|timed out|deadline|refused|no such host|dial tcp|"
    r"reset by peer|broken pipe|\beof\b|network is|no route|temporary failure|"
    r"tls handshake|server busy|\b429: |\b5\d\d: |canceled"
)


_KINDS: tuple[tuple[re.Pattern[str], type[VenomError], str], ...] = (
    (_DISK, DiskFull, "ollama_disk_full"),
    (_MISMATCH, DigestMismatch, "ollama_mismatch"),
    (_UNFIT, UnsupportedModel, "ollama_unfit"),
)
# Of one model; «passing» before «not found»: a host that is not found passes.
_KINDS_OF_A_MODEL: tuple[tuple[re.Pattern[str], type[VenomError], str], ...] = (
    (_PASSING, ProviderAway, "ollama_broke_off"),
    (_DENIED, AccessDenied, "ollama_denied"),
    (_MISSING, ModelNotFound, "ollama_missing"),
)


def refusal(error: WireError, name: str, endpoint: str) -> VenomError:
    """The product's refusal for what the server said while it dealt with a model."""
    values = {"endpoint": endpoint, "name": name, "said": _quoted(str(error))}
    text = str(error).lower().replace(name.lower() or "\0", "…")  # may be any word
    if isinstance(error, Unsupported):
        return ProviderFailed(because("ollama_unknown_call", **values))
    for pattern, kind, why in _KINDS + (_KINDS_OF_A_MODEL if name else ()):
        if pattern.search(text):
            return kind(because(why, **values))
    if error.permanent:
        why = "ollama_failed" if name else "ollama_refused"
        return ProviderFailed(because(why, **values))
    return ProviderAway(
        because("ollama_broke_off" if name else "ollama_away", **values)
    )


def registry_refusal(error: WireError, name: str, source: str) -> VenomError:
    """The product's refusal for what the registry said of a name."""
    if error.status == 404:
        return ModelNotFound(because("registry_missing", source=source, name=name))
    if error.status in {401, 403}:
        return AccessDenied(because("registry_denied", source=source, name=name))
    said = _quoted(str(error))
    return ProviderAway(because("registry_away", source=source, name=name, said=said))


def _quoted(text: str) -> str:
    """In brackets, and not so long that the closing one would be cut off."""
    plain = text.strip().rstrip(".")[: LONGEST_VALUE - 3]
    return f"({plain}.)" if plain else ""
