"""The names of one model on one runtime, compared. Pure.

A model has four: the one that activation or start says (configured), the one it was
installed under (registered), what the server lists now (published), and what clients
asked for last (requested). `alias_guard.py` gathers them at each health check.

Facts (vLLM 0.32): an entry of `/v1/models` has the alias as `id` and the folder that
was loaded as `root`; only the aliases are accepted, the folder's own name is a 404.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

CONFIGURED, REGISTERED, PUBLISHED, REQUESTED = NAMES = (
    "configured",
    "registered",
    "published",
    "requested",
)
NOTHING, ACTIVATE, REGISTER, CHOOSE, TELL_CLIENTS = (
    "",
    "activate",
    "register",
    "choose",
    "tell_clients",
)
# What a client may send for whatever is active.
_ACTIVE_WORDS = frozenset({"", "auto", "default"})
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesVerdict:
    """`differing` holds those of `NAMES` that do not fit the configured one, `repair`
    the one action that helps: `activate` (with `target`), `register` (look into the
    store again), `choose` (a person has to say which), `tell_clients` (to ask for
    `target`), or nothing. `sentence` is English, empty when all is well. `alias` is
    the name under which the server publishes this model, where it is not the
    configured one."""

    differing: tuple[str, ...] = ()
    repair: str = NOTHING
    target: str = ""
    sentence: str = ""
    alias: str = ""

    @property
    def ok(self) -> bool:
        return not self.differing

    @property
    def is_mismatch(self) -> bool:
        """Whether the model itself is called wrongly; a client that asks for another
        name is told, but changes nothing of the model."""
        return bool({REGISTERED, PUBLISHED} & set(self.differing))


ALL_WELL = NamesVerdict()


def compare(
    configured: str,
    registered: str,
    published: list[str],
    requested: str,
    *,
    folder: str = "",
    roots: Mapping[str, str] | None = None,
    can_restart: bool = False,
) -> NamesVerdict:
    """The first of these that is wrong, worst first.

    An empty name is one that nobody knows: it differs from nothing. `folder` is where
    the registered model lies and `roots` what the server says it loaded for each
    published name; `can_restart` says that its server is ours to start anew.
    """
    if not configured or not published:
        return ALL_WELL
    roots = roots or {}
    alias = _alias_of(configured, registered, published, folder, roots)
    listed = _listed(configured, published)
    if listed is None:
        return _unpublished(configured, published, alias, can_restart=can_restart)
    if can_restart and _is_other_folder(folder, roots.get(listed, "")):
        return _other_model(configured, roots[listed])
    is_proved = same_folder(folder, roots.get(listed, ""))
    if registered and not is_proved and not same_name(configured, registered):
        return _otherwise_registered(configured, registered)
    if requested not in _ACTIVE_WORDS and _listed(requested, published) is None:
        return _otherwise_requested(listed, requested)
    return ALL_WELL


def same_name(one: str, other: str) -> bool:
    """As Ollama compares: letter case and `:latest` do not count."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return name.lower().removesuffix(":latest")


def _listed(name: str, published: list[str]) -> str | None:
    """The server's own spelling; only `:latest` may be left out, since vLLM and others
    compare letter by letter."""
    if name in published:
        return name
    wanted = name.removesuffix(":latest")
    return next((p for p in published if p.removesuffix(":latest") == wanted), None)


def _alias_of(
    configured: str,
    registered: str,
    published: list[str],
    folder: str,
    roots: Mapping[str, str],
) -> str:
    """Under which name the server has this very model: proved by its folder, else a
    name that is the same but for case, path or owner."""
    by_folder = (p for p in published if same_folder(folder, roots.get(p, "")))
    wanted = {_last(name) for name in (configured, registered) if name}
    alike = [p for p in published if _last(p) in wanted]
    by_name = alike[0] if len(alike) == 1 else ""
    return next(by_folder, by_name)


def _last(name: str) -> str:
    return _plain(posixpath.basename(name.rstrip("/")))


def same_folder(folder: str, root: str) -> bool:
    """Whether both name one folder: one of them may be relative to a data folder."""
    if not folder or not root:
        return False
    one, other = sorted((_parts(folder), _parts(root)), key=len)
    return other[-len(one) :] == one


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(path).split("/") if part not in "."]


def _is_other_folder(folder: str, root: str) -> bool:
    """A root that is no path is the name of a repository: that proves nothing."""
    return bool(folder) and root.startswith("/") and not same_folder(folder, root)


def _unpublished(
    configured: str, published: list[str], alias: str, *, can_restart: bool
) -> NamesVerdict:
    told = f"The server does not publish “{configured}”; it lists {_quoted(published)}."
    if can_restart:
        repair, target = ACTIVATE, configured
        remedy = f"Activate “{configured}” again: that starts it under this name."
    elif alias:
        repair, target = ACTIVATE, alias
        remedy = f"Activate “{alias}”: it is the same model under the server's name."
    else:
        repair, target = CHOOSE, ""
        remedy = "Activate a model that it lists, or start it with that name."
    return NamesVerdict(
        differing=(PUBLISHED,),
        repair=repair,
        target=target,
        sentence=f"{told} {remedy}",
        alias=alias,
    )


def _other_model(configured: str, root: str) -> NamesVerdict:
    return NamesVerdict(
        differing=(PUBLISHED,),
        repair=ACTIVATE,
        target=configured,
        sentence=f"The server publishes “{configured}”, but loaded {root} for it. "
        f"Activate “{configured}” again: that starts it with its own folder.",
    )


def _otherwise_registered(configured: str, registered: str) -> NamesVerdict:
    return NamesVerdict(
        differing=(REGISTERED,),
        repair=REGISTER,
        target=configured,
        sentence=f"The registry knows “{configured}” as “{registered}”. Look into the "
        "store again.",
    )


def _otherwise_requested(listed: str, requested: str) -> NamesVerdict:
    return NamesVerdict(
        differing=(REQUESTED,),
        repair=TELL_CLIENTS,
        target=listed,
        sentence=f"Clients asked for “{requested}”, which the server does not "
        f"publish. Let them ask for “{listed}”.",
    )


def _quoted(published: list[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in published[:_MOST_NAMED])
    more = len(published) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
