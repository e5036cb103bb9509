"""Ollama's words turned into the product's: names, capabilities, news.

Pure functions and tables for `providers/ollama.py`; what it refuses is read in
`ollama_refusals.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from django.utils.translation import gettext_lazy as _

from models_app.choices import CapabilitySource
from models_app.providers.base import (
    Description,
    FetchNews,
    FoundModel,
)
from models_app.providers.chat_templates import read_template
from models_app.providers.gguf_figures import figures_of_keys
from models_app.reasons import NO_REASON, Reason, because
from venom_site.clients.ollama_answers import ListedModel, PullLine, ShownModel
from venom_site.clients.ollama_registry import RegistryManifest
from venom_site.lib import names

# Ollama's own grammar: [host/][namespace/]model[:tag], parts of at most 80 characters.
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_GRAMMAR = re.compile(
    rf"(?:(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*)/)?"
    rf"(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{{0,79}})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?",
    re.ASCII,
)
WHAT_IS_WANTED = _(
    "must be a name of Ollama such as llama3.2:3b, user/model or "
    "hf.co/user/model:Q4_K_M: parts begin with a letter, a digit or _ and have at "
    "most 80 characters"
)
DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG = "registry.ollama.ai", "library", "latest"

MODEL_LAYER = "application/vnd.ollama.image.model"
_TENSOR_LAYER = "application/vnd.ollama.image.tensor"
LICENSE_LAYER = "application/vnd.ollama.image.license"
# What is loaded to run a model; the other layers are texts.
WEIGHT_LAYERS = frozenset(
    f"application/vnd.ollama.image.{kind}"
    for kind in ("model", "projector", "adapter", "tensor", "draft")
)
LONGEST_TEMPLATE = 32_768
LONGEST_LICENSE = 200


def canonical_name(name: str) -> str:
    """As the server prints it: shortest, always with a tag; raises ValueError."""
    found = _GRAMMAR.fullmatch(names.model_name(name))
    if found is None:
        raise ValueError(WHAT_IS_WANTED)
    host, namespace, model, tag = found.groups()
    if (host or "").lower() == DEFAULT_HOST:
        host = None
    if host is None and (namespace or DEFAULT_NAMESPACE).lower() == DEFAULT_NAMESPACE:
        # The library writes its models small, so that one model has one name here.
        namespace, model = None, model.lower()
    path = "/".join(part for part in (host, namespace, model) if part)
    return names.model_name(f"{path}:{tag or DEFAULT_TAG}")


def is_cloud_name(name: str) -> bool:
    tag = name.rpartition(":")[2].lower()
    return tag == "cloud" or tag.endswith("-cloud")


def complaint_about(name: str, found: RegistryManifest, *, no_cloud: bool) -> Reason:
    """Why what the manifest promises cannot run on a server of ours."""
    kinds = {layer.media_type for layer in found.layers}
    if _TENSOR_LAYER in kinds:
        return made_for_apple(name)
    is_stub = is_cloud_name(name) or MODEL_LAYER not in kinds
    if is_stub and no_cloud:
        return because("cloud_ruled_out", name=name)
    return NO_REASON


def made_for_apple(name: str) -> Reason:
    return because("for_apple", name=name)


def short(digest: str) -> str:
    """The first twelve digits, as Ollama shows a layer."""
    return digest.removeprefix("sha256:")[:12]


def found_model(entry: ListedModel) -> FoundModel:
    return FoundModel(
        name=entry.name,
        digest=entry.digest[:100],
        size_bytes=entry.size_bytes,
        family=entry.family[:80],
        parameter_size=entry.parameter_size[:20],
        quantization=entry.quantization[:40],
        format=entry.format[:20],
        modified_at=_moment(entry.modified_at),
        is_remote=entry.is_remote,
    )


def is_shown(model: FoundModel, *, no_cloud: bool) -> bool:
    """Not what a cloud runs where that is ruled out, nor what no address can name."""
    if no_cloud and (model.is_remote or is_cloud_name(model.name)):
        return False
    return names.is_model_name(model.name)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year > 1970 else None  # Go's zero is the year 1


def description_of(shown: ShownModel) -> Description:
    can = set(shown.capabilities or ())

    def says(word: str) -> bool | None:
        return word in can if can else None

    chats, has_system = says("completion"), _takes_system(shown.template)
    if chats is False:
        has_system = False
    return Description(
        context_length=shown.context_length,
        license=first_line(shown.license),
        supports_chat=chats,
        supports_embedding=says("embedding"),
        supports_system_role=has_system,
        supports_function_calling=says("tools"),
        supports_vision=says("vision"),
        supports_thinking=says("thinking"),
        allowed_roles=_roles(chats, has_system, says("tools")),
        template=shown.template[:LONGEST_TEMPLATE],
        sources=_sources(shown.template),
        figures=figures_of_keys(shown.model_info, quantization=shown.quantization[:40]),
    )


def _takes_system(template: str) -> bool | None:
    """A Jinja template is rendered; Go's, and one that cannot be, are searched."""
    found = read_template(template).takes_system if "{%" in template else None
    return system_role_in(template) if found is None else found


def _sources(template: str) -> dict[str, str]:
    """The server lists what a model can do; its system role is read from the template,
    and so are the roles."""
    read = ("supports_system_role", "allowed_roles", "template") if template else ()
    return dict.fromkeys(read, CapabilitySource.TEMPLATE.value)


def _roles(
    chats: bool | None, has_system: bool | None, has_tools: bool | None
) -> tuple[str, ...]:
    if not chats:
        return ()
    roles = [("system", has_system), ("user", True), ("assistant", True)]
    return tuple(role for role, may in [*roles, ("tool", has_tools)] if may)


def first_line(text: str) -> str:
    lines = (line.strip() for line in text[:10_000].splitlines())
    return next(filter(None, lines), "")[:LONGEST_LICENSE]


_REFUSES_SYSTEM = re.compile(
    r"raise_exception\(\s*['\"][^'\"]*system[^'\"]*"
    r"(?:not supported|unsupported|not allowed)",
    re.IGNORECASE,
)
_GO_SYSTEM = re.compile(r"\.System\b|\.Role\b(?!\s+\"(?!system))")
_JINJA_SYSTEM = re.compile(
    r"['\"]system['\"]|system_message|(?:message|messages\[0\])(?:\.role|\[['\"]role['\"]\])"
    r"\s*(?:\+|~|\||\}\})"
)


def system_role_in(template: str) -> bool | None:
    """Whether a chat template has a place for a system message; None without one.

    Servers since about 0.30 may show the Jinja template of the model's file instead
    of Go's. A Jinja template that names the role only to refuse it has no place.
    """
    if not template.strip():
        return None
    if "{%" not in template:
        return _GO_SYSTEM.search(template) is not None
    if _REFUSES_SYSTEM.search(template):
        return False
    return _JINJA_SYSTEM.search(template) is not None


_PHASES = (
    ("pulling manifest", "resolving"),
    ("verifying", "verifying"),
    ("writing", "registering"),
    ("removing", "registering"),
    ("success", "registering"),
)


def news_in(
    line: PullLine, whole_digests: Mapping[str, str] | None = None
) -> FetchNews | None:
    """What one line of a pull says; None for words that are new to us."""
    if line.digest:
        part = (whole_digests or {}).get(line.digest, line.digest)
        return FetchNews(
            phase="downloading", part=part, done=line.completed, total=line.total
        )
    for beginning, phase in _PHASES:
        if line.status.startswith(beginning):
            return FetchNews(phase=phase)
    return None
