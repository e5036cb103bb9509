"""The downloader's pure parts: spans of bytes, and what heads of answers say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from venom_site.clients.downloads_answers import (
    host_of,
    next_place,
    origin_of,
    read_head,
    refusal,
    wished_wait,
)
from venom_site.clients.downloads_refused import DownloadRefused, Passing
from venom_site.clients.downloads_spans import added, clipped, front, missing, total

SHA256 = "ab" * 32


def test_spans_hold_exactly_the_bytes_that_were_added():
    chance = random.Random(1)
    for _ in range(300):
        spans, there = (), set()
        for _ in range(chance.randrange(12)):
            start, size = chance.randrange(40), chance.randrange(12)
            spans = added(spans, start, start + size)
            there |= set(range(start, start + size))
        assert {n for a, b in spans for n in range(a, b)} == there
        assert all(b < c for (_, b), (c, _) in pairwise(spans))
        assert total(spans) == len(there)
        assert front(spans) == next(n for n in range(99) if n not in there)
        gaps = {n for a, b in missing(spans, 5, 45) for n in range(a, b)}
        assert gaps == set(range(5, 45)) - there
        assert total(clipped(spans, 20)) == len([n for n in there if n < 20])


def test_the_wish_to_wait_is_read_from_each_header():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert wished_wait({"retry-after": "7"}) == 7
    assert 60 < wished_wait({"retry-after": date}) <= 90
    assert wished_wait({"retry-after": past}) == 0
    assert wished_wait({"retry-after": "soon"}) is None
    assert wished_wait({"ratelimit": '"resolvers";r=0;t=42'}) == 43
    assert wished_wait({}) is None


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {}),
        (206, {"content-range": "bytes */10"}),
        (206, {"content-range": "items 0-1/2"}),
        (204, {}),
        (200, {"content-encoding": "br"}),
    ],
)
def test_a_head_that_is_not_that_of_the_file_is_asked_for_again(status, headers):
    with pytest.raises(Passing):
        read_head(status, headers, {})


def test_the_hub_names_the_content_and_the_other_origin_only_itself():
    linked = {"x-linked-etag": f'"{SHA256}"', "x-linked-size": "10"}
    head = read_head(206, {"content-range": "bytes 2-9/*", "etag": 'W/"x"'}, linked)
    assert (head.tag, head.total, head.start) == (SHA256, 10, 2)
    plain = read_head(200, {"content-length": "5", "etag": 'W/"x"'}, {})
    assert (plain.tag, plain.total) == ("x", 5)


def test_a_refusal_quotes_the_source_and_keeps_what_is_secret():
    said = {"x-error-message": "no: Bearer hf_abcdefghijklmnopqrstuvwxyz012345"}
    error = refusal(401, said, "hub.example")
    assert isinstance(error, DownloadRefused)
    assert (error.case, error.reason_code) == ("access", "AUTH_ERROR")
    assert "hf_abcdefghijkl" not in str(error)
    assert isinstance(refusal(500, {}, "hub.example"), Passing)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/other", "http://hub.example/other"),
        ("//cdn.example/x", "http://cdn.example/x"),
        ("https://cdn.example/a b?x=ż", "https://cdn.example/a%20b?x=%C5%BC"),
        ("", "http://hub.example/a/b"),
    ],
)
def test_a_redirect_leads_to_an_address_in_plain_form(location, place):
    assert next_place("http://hub.example/a/b", location) == place


@pytest.mark.parametrize(
    "location", ["javascript:x", "data:,x", "http://x:y/", "gopher://x/"]
)
def test_a_redirect_elsewhere_is_refused(location):
    with pytest.raises(DownloadRefused):
        next_place("http://hub.example/a", location)


def test_an_origin_is_scheme_host_and_port_and_names_no_user():
    assert origin_of("https://x.example/a") == ("https", "x.example", 443)
    assert origin_of("http://x.example:81/") == ("http", "x.example", 81)
    assert host_of("https://user:word@x.example:81/a?sig=1") == "x.example:81"
