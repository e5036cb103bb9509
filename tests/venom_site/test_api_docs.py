"""The API browser: our own files, no inline code, the strict policy of pages."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders

from venom_site.lib import csp

MOST_BYTES = 8 * 1024


@pytest.mark.django_db
def test_the_page_loads_only_our_own_files_and_holds_no_inline_code(page_client):
    answer = page_client("Viewer").get("/api/docs")

    assert answer.status_code == 200
    page = answer.content.decode()
    policy = answer["Content-Security-Policy"]
    assert policy == csp.PAGES
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"\son[a-z]+=|style=", page) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == []
    assert 'data-openapi="/api/v1/openapi.json"' in page


def test_the_script_is_small_and_writes_no_markup():
    path = finders.find("js/api_docs.js")
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        script = file.read()

    assert len(script.encode()) <= MOST_BYTES
    assert not re.search(r"innerHTML\s*=|insertAdjacent|eval\(|new Function", script)


@pytest.mark.django_db
def test_every_call_of_the_document_has_a_summary_and_is_secured(api_client):
    document = api_client("read").get("/api/v1/openapi.json").json()

    calls = [call for path in document["paths"].values() for call in path.values()]
    assert calls
    assert all(call.get("summary") for call in calls)


@pytest.mark.django_db
def test_an_answer_of_the_api_may_load_nothing(client):
    answer = client.get("/api/v1/models")

    assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer["X-Content-Type-Options"] == "nosniff"
