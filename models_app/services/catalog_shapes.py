"""Answers of catalogues as JSON and back, the form in which they are kept.

Pure. What an older or newer release has kept in another form is read as nothing, so
that the source is simply asked again.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeVar

from models_app.providers.catalogue import Access, Details, Listed, ListPage, Variant
from models_app.providers.figures import ModelFigures
from models_app.reasons import Reason, read_told, said
from venom_site.lib.units import iso

VERSION = 1
Payload = dict[str, Any]
T = TypeVar("T")


def page_payload(page: ListPage, former: tuple[str, ...] = ()) -> Payload:
    """`former` are the names of the copy before this one, in their order."""
    return {
        "v": VERSION,
        "items": [_plain(item) for item in page.items],
        "next_cursor": page.next_cursor,
        "former": list(former),
    }


def page_of(payload: Any) -> ListPage | None:
    if not _is_ours(payload, "items"):
        return None
    items = tuple(listed_of(item) for item in payload["items"])
    return ListPage(items=items, next_cursor=payload["next_cursor"])


def names_of(payload: Any) -> tuple[str, ...]:
    """The names of a kept list in their order."""
    if not _is_ours(payload, "items"):
        return ()
    return tuple(item["name"] for item in payload["items"])


def former_of(payload: Any) -> tuple[str, ...]:
    return tuple(payload["former"]) if _is_ours(payload, "former") else ()


def details_payload(details: Details) -> Payload:
    return {"v": VERSION, "details": _plain(details)}


def details_of(payload: Any) -> Details | None:
    if not _is_ours(payload, "details"):
        return None
    known = _known(Details, payload["details"])
    known["listed"] = listed_of(known["listed"])
    known["variants"] = tuple(_variant_of(each) for each in known["variants"])
    known["access"] = Access(known["access"])
    return Details(**_with_tuples(known))


def listed_of(payload: Payload) -> Listed:
    known = _known(Listed, payload)
    if moment := known.get("updated_at"):
        known["updated_at"] = datetime.fromisoformat(moment)
    return Listed(**_with_tuples(known))


def _variant_of(payload: Payload) -> Variant:
    known = _known(Variant, payload)
    if figures := known.get("figures"):
        known["figures"] = figures_of(figures)
    for name in ("complaint", "remark"):
        known[name] = _reason_of(known.get(name, ""))
    return Variant(**known)


def _reason_of(payload: Any) -> Reason:
    """What another release knew cannot be said, but it was a reason all the same."""
    try:
        return read_told(payload)
    except ValueError:
        return said(str(payload.get("code") if isinstance(payload, dict) else payload))


def figures_of(payload: Payload) -> ModelFigures:
    return ModelFigures(**_with_tuples(_known(ModelFigures, payload)))


def is_readable(payload: Any) -> bool:
    """Whether this release has kept it; nothing at all is readable too."""
    return payload is None or _is_ours(payload, "v")


def _is_ours(payload: Any, part: str) -> bool:
    is_known = isinstance(payload, dict) and payload.get("v") == VERSION
    return is_known and part in payload


def _plain(item: Listed | Details) -> Payload:
    plain: Payload = _json(asdict(item))
    return plain


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    return iso(value) if isinstance(value, datetime) else value


def _known(shape: type[Any], payload: Payload) -> Payload:
    """Fields that this release has; the others are somebody else's."""
    names = {field.name for field in fields(shape)}
    return {name: value for name, value in payload.items() if name in names}


def _with_tuples(values: Payload) -> Payload:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
