"""`docs/api.md` names every call, error code and event that there is, and no other.

Both ways: what the product says must stand there, and what stands there must be true.
"""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

from models_app.schemas.operations import LogLineOut, OperationOut
from runtime_app.gateway import listing, sse, task_stream
from runtime_app.gateway.app import POSTS
from venom_site.api import api
from venom_site.lib.errors import VenomError

HOME = Path(__file__).resolve().parents[2]
TEXT = (HOME / "docs/api.md").read_text()
APPS = ("venom_site", "models_app", "runtime_app", "history_app")
# Said by no answer: the start speaks on the terminal.
OF_THE_START = {"start_refused", "unsafe_folder"}
# failures.of_connection makes these of the kind of failure.
OF_CONNECTIONS = {"upstream_closed", "upstream_malformed"}


def calls_described():
    return set(re.findall(r"^#### ([A-Z]+) (/\S+)$", TEXT, re.MULTILINE))


def calls_there_are():
    paths = api.get_openapi_schema()["paths"]
    found = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
    streams = {
        "/api/v1/models/operations/{operation_id}/stream": sse,
        "/api/v1/tasks/{task_id}/stream": task_stream,
    }
    assert all(module.is_stream(path) for path, module in streams.items())
    models = {("GET", listing.MODELS), ("GET", f"{listing.MODELS}/{{name}}")}
    return (
        found
        | {("GET", path) for path in streams}
        | models
        | {("POST", path) for path in POSTS}
    )


def table(beginning):
    """{code: status} of the error table that follows these words."""
    rows = TEXT.partition(beginning)[2].strip().split("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \|([\d, ]*)\|", rows, re.MULTILINE)
    return {code: status.strip() for code, status in found}


def trees(folder):
    for path in (HOME / folder).rglob("*.py"):
        yield ast.parse(path.read_text())


def texts_given(folder, name):
    """The constant texts of keyword `name` in all calls, such as `code="…"`."""
    return {
        node.value.value
        for tree in trees(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == name
        and isinstance(node.value, ast.Constant)
        and node.value.value
    }


def first_texts(folder, function):
    """The constant first arguments of all calls of `function`."""
    return {
        node.args[0].value
        for tree in trees(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == function
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def family(error=VenomError):
    """The error and all made of it, once everything is imported."""
    for name in ("venom_site.middleware", "models_app.tasks", "runtime_app.tasks"):
        import_module(name)
    return {error}.union(*(family(child) for child in error.__subclasses__()))


def test_every_call_is_described_and_every_described_call_exists():
    assert calls_described() == calls_there_are()


def test_every_error_code_of_the_api_stands_in_the_table_with_its_status():
    errors = {error.code: str(error.http_status) for error in family()}
    rows = {code: "" for app in APPS for code in texts_given(app, "error_code")}
    assert table("no status is given:") == errors | rows


def test_every_error_code_of_the_gateway_stands_in_its_table():
    folder = "runtime_app/gateway"
    said = texts_given(folder, "code") | first_texts(folder, "_degraded")
    assert set(table("Of the gateway:")) == said | OF_CONNECTIONS


def test_no_class_of_the_product_has_a_code_that_the_tables_miss():
    codes = {
        node.value.value
        for app in APPS
        for tree in trees(app)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and [getattr(target, "id", "") for target in node.targets] == ["code"]
        and isinstance(node.value, ast.Constant)
    }
    assert codes - OF_THE_START <= set(table("no status is given:"))


def test_every_event_is_described():
    streamed = first_texts("runtime_app/gateway", "_event")
    pushed = {text for app in APPS for text in texts_given(app, "type") if "." in text}
    pushed = {text for text in pushed if not text.startswith(("http.", "websocket."))}
    assert {"log", "operation_finished"} < streamed
    assert {"operation.changed", "request.finished"} < pushed
    section = TEXT.partition("| event | data |")[2]
    missing = [name for name in streamed | pushed if f"\n| `{name}` |" not in section]
    assert missing == []


def test_examples_are_json_and_show_the_fields_of_today():
    shown = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.S)
    ]
    operations = [found for found in shown if "bytes_done" in found]
    lines = [found[0] for found in shown if isinstance(found, list)]
    assert [set(found) for found in operations] == [set(OperationOut.model_fields)]
    assert [set(found) for found in lines] == [set(LogLineOut.model_fields)]


def test_links_within_the_page_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    } | set(re.findall(r'<a id="([^"]+)"></a>', TEXT))
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
