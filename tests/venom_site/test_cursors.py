"""The opaque cursor of keyset lists."""

import base64
from datetime import UTC, datetime

import pytest

from venom_site.lib import cursors
from venom_site.lib.errors import BadRequest
from venom_site.lib.ids import uuid7

MOMENT = datetime(2026, 11, 21, 9, 30, 1, 123456, tzinfo=UTC)
PK = "01a1ff28-43a3-7000-9aef-b74c7713a9ba"


def test_a_cursor_gives_back_the_place_it_was_made_from():
    pk = uuid7()
    assert cursors.decode(cursors.encode(MOMENT, pk)) == (MOMENT, pk)


def test_a_cursor_needs_no_escaping_in_an_address():
    cursor = cursors.encode(MOMENT, uuid7())
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "nonsense",
        "żółw",
        "A" * 5000,
        base64.b64encode(b"2026-11-21T09:30:01|no-uuid").decode(),
        base64.b64encode(f"2026-11-21T09:30:01|{PK}".encode()).decode(),
        base64.b64encode(b"\xff\xfe|\x00").decode(),
    ],
)
def test_anything_else_is_a_bad_request_that_names_the_parameter(given):
    with pytest.raises(BadRequest) as caught:
        cursors.decode(given)
    assert caught.value.extras["errors"][0]["loc"] == "query.cursor"
