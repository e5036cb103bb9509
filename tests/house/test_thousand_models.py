"""A thousand installed models: the pages and calls stay as small as with ten.

Counts of queries, rows and bytes only; how long it takes is `bench.models_page`.
"""

from __future__ import annotations

import gzip
import io
import json
import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from models_app.models import Capabilities, InstalledModel
from runtime_app.models import Activation
from tests.factories import (
    InstalledModelFactory,
    NodeFactory,
    OperationFactory,
    RuntimeFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

COUNT = 1000
PAGE_ROWS = 50
PAGE_QUERIES = 12
PAGE_BYTES = 20_000
NAME = re.compile(r"/models/ollama/(weight\d+:1b)/")


@pytest.fixture
def thousand(db):
    """A thousand models that Ollama serves too."""
    node = NodeFactory()
    rows = [
        InstalledModelFactory.build(
            node=node,
            name=f"weight{number}:1b",
            family=("gemma3", "llama", "qwen3")[number % 3],
            digest=f"{number:064x}",
        )
        for number in range(COUNT)
    ]
    InstalledModel.objects.bulk_create(rows, batch_size=500)
    told = [Capabilities(model=row, supports_chat=True) for row in rows]
    Capabilities.objects.bulk_create(told, batch_size=500)
    served = [{"name": row.name, "size_bytes": row.size_bytes} for row in rows]
    runtime = RuntimeFactory(online=True, served_models=served)
    name = rows[0].name
    Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        installed_model=rows[0],
        model_name=name,
        served_name=name,
        state="active",
    )
    return rows


@pytest.fixture
def download():
    """One more, just being downloaded."""
    return OperationFactory(
        running=True, operation_type="install", provider="ollama", model_name="new:1b"
    )


def fetched(client, path):
    """The answer, its text and how many queries it took."""
    client.get("/help/")  # whatever is read once for all pages
    with CaptureQueriesContext(connection) as caught:
        answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode(), len(caught)


def test_the_list_shows_a_page_of_them(thousand, page_client):
    page, queries = fetched(page_client("Operator"), "/models/")

    assert len(set(NAME.findall(page))) == PAGE_ROWS
    assert queries <= PAGE_QUERIES
    assert len(gzip.compress(page.encode())) <= PAGE_BYTES


def test_a_download_stands_above_them(thousand, download, page_client):
    page, queries = fetched(page_client("Operator"), "/models/")

    assert f"operation-{download.pk}" in page
    assert len(set(NAME.findall(page))) == PAGE_ROWS - 1, "it takes one row"
    assert queries <= PAGE_QUERIES


@pytest.mark.parametrize("path", ["/models/?page=20", "/models/?q=weight99"])
def test_the_last_page_and_a_search_take_no_more(path, thousand, page_client):
    page, queries = fetched(page_client("Operator"), path)

    assert NAME.search(page)
    assert queries <= PAGE_QUERIES
    assert len(gzip.compress(page.encode())) <= PAGE_BYTES


@pytest.mark.parametrize(
    "path", ["/", "/runtimes/", "/runtimes/ollama/", "/models/ollama/weight500:1b/"]
)
def test_other_pages_do_not_grow_with_them(path, thousand, page_client):
    client = page_client("Operator")
    page, queries = fetched(client, path)

    InstalledModel.objects.exclude(name="weight500:1b").delete()
    _page, with_one = fetched(client, path)

    assert queries <= with_one + 1
    assert len(gzip.compress(page.encode())) <= PAGE_BYTES


def test_a_program_gets_them_all_in_few_queries(thousand, api_client):
    client = api_client("read")
    text, queries = fetched(client, "/api/v1/models")

    names = {model["name"] for model in json.loads(text)["models"]}
    assert len(names & {row.name for row in thousand}) == COUNT
    InstalledModel.objects.exclude(name="weight1:1b").delete()
    _text, with_one = fetched(client, "/api/v1/models")
    assert queries <= with_one + 3, "a few more for batches, none for each"


def test_the_terminal_lists_them_all_in_few_queries(thousand):
    out = io.StringIO()
    with CaptureQueriesContext(connection) as caught:
        call_command("models", "list", stdout=out)

    assert out.getvalue().count("weight") == COUNT
    assert len(caught) <= PAGE_QUERIES
