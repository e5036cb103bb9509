"""Requests as a stream of CSV or JSON lines, of any length in the memory of one page.

Each page is read and written out in a thread that then hands its connection back: no
transaction stays open, so rows that come meanwhile are newer than the first page and
no part of it. A reader that leaves ends it at its next page.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from history_app.models import RequestRecord
from history_app.schemas import request_payload
from history_app.services.filters import RequestFilters
from history_app.services.search import page_of
from venom_site.lib.offloop import off_loop

PAGE_ROWS = 200  # 500 take twice the memory for a tenth of the time (measured)
# What a spreadsheet would run; a leading apostrophe makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


class ExportFormat(models.TextChoices):
    CSV = "csv", _("CSV")
    JSONL = "jsonl", _("JSON lines")


CONTENT_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSONL: "application/x-ndjson; charset=utf-8",
}


async def export(
    wanted: RequestFilters, form: ExportFormat, *, may_view_payload: bool
) -> AsyncIterator[bytes]:
    """All requests that match, newest first, with the fields of the list."""

    def shaped(record: RequestRecord) -> Row:
        return request_payload(record, may_view_payload=may_view_payload)

    def read(cursor: str) -> tuple[bytes, str | None]:
        page = page_of(wanted, limit=PAGE_ROWS, cursor=cursor)
        text = write(map(shaped, page.items))
        return text.encode(), page.next_cursor

    write: Callable[[Iterable[Row]], str] = _json_lines
    if form == ExportFormat.CSV:
        write = _csv_lines
        yield _csv([list(shaped(RequestRecord()))]).encode()
    cursor: str | None = ""
    while cursor is not None:
        part, cursor = await off_loop(read, cursor)
        yield part


def _json_lines(rows: Iterable[Row]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _csv_lines(rows: Iterable[Row]) -> str:
    return _csv([_cell(value) for value in row.values()] for row in rows)


def _csv(lines: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
