"""The tabs of a runtime's page: models, log and history, each an answer of its own."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.services.operation_rows import write_log
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.models import Activation, RuntimeSample
from runtime_app.services import server_log
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def look(page_client):
    """look("log", q="x") → that tab of the page, tags and all."""
    client = page_client("Operator")

    def open_tab(tab: str = "", name: str = "ollama", **query: str) -> str:
        answer = client.get(f"/runtimes/{name}/", {"tab": tab} | query)
        assert answer.status_code == 200
        return answer.content.decode()

    return open_tab


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture
def ours(settings):
    """A vLLM of ours with a log in the data folder."""
    folder = settings.DATA_DIR / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    runtime = RuntimeFactory(
        name="vllm",
        display_name="vLLM",
        kind=RuntimeKind.VLLM,
        managed_by=ManagedBy.PROCESS,
        base_url="http://127.0.0.1:9/v1",
        process="test-node|m|1|1",
    )
    settings.RUNTIME_PROFILE = "full"
    settings.NODE = runtime.node.name
    yield runtime, folder / "vllm.log"
    for path in folder.glob("vllm*"):
        path.unlink()


@pytest.mark.parametrize("tab", ["", "now", "nonsense", "<b>"])
def test_the_first_tab_answers_for_names_that_are_none(look, tab):
    RuntimeFactory(online=True)
    page = look(tab)
    assert re.search(r'<a href="/runtimes/ollama/" aria-current="page">Now</a>', page)
    assert 'id="runtime-ollama"' in page
    assert "<b>" not in page.split("<title>")[1].split("</title>")[0]


def test_every_tab_is_a_link_that_says_where_one_is(look):
    RuntimeFactory(online=True)
    page = look("history")
    for tab in ("models", "log", "history"):
        assert f'href="/runtimes/ollama/?tab={tab}"' in page
    assert 'href="/runtimes/ollama/?tab=history" aria-current="page"' in page


def test_the_models_tab_has_what_is_here_and_what_comes(look):
    runtime = RuntimeFactory(online=True)
    InstalledModelFactory(name="gemma3:4b", node=runtime.node)
    InstalledModelFactory(name="org/other", provider="huggingface", node=runtime.node)
    coming = OperationFactory(
        running=True,
        operation_type="install",
        provider="ollama",
        model_name="phi3:mini",
        node=runtime.node,
    )
    write_log(coming.pk, "pulling the third layer")

    page = look("models")

    assert "/models/ollama/gemma3:4b/" in page
    assert "org/other" not in page
    assert f'id="operation-{coming.pk}"' in page
    assert "pulling the third layer" in page
    assert 'hx-trigger="every 2s"' in page, "it moves, so it is looked at again"
    assert "provider=ollama" in page, "what it can install is its own provider's"


def test_the_models_tab_of_an_added_server_lists_what_it_says(look):
    RuntimeFactory(
        name="shed",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        online=True,
        managed_by="external",
    )
    page = look("models", name="shed")
    assert "gemma3:4b" in page
    assert "?tab=log" not in page, "its log is not ours"


def test_the_history_tab_says_who_when_how_long_and_how_it_ended(look):
    runtime, now = RuntimeFactory(online=True), timezone.now()
    Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name="phi3:mini",
        state="former",
        activated_by="anna",
        activated_at=now - timedelta(hours=3),
        ended_at=now - timedelta(hours=1),
    )
    OperationFactory(
        failed=True,
        operation_type="restart",
        runtime="ollama",
        node=runtime.node,
        started_by="jan",
        error="It did not come up.",
    )
    page = text_of(look("history"))
    assert "phi3:mini anna" in page
    assert "2:00:00" in page
    assert "Restart ollama" in page
    assert "jan" in page
    assert "It did not come up." in page


def test_a_history_of_nothing_says_so(look):
    RuntimeFactory(online=True)
    page = text_of(look("history"))
    assert "No model has been active on it yet." in page
    assert "Nothing has been done with it through Venom yet." in page


def test_each_tab_asks_the_database_a_bounded_number_of_times(
    page_client, django_assert_max_num_queries
):
    runtime = RuntimeFactory(online=True)
    for number in range(5):
        InstalledModelFactory(node=runtime.node)
        OperationFactory(completed=True, runtime="ollama", operation_type="load")
        Activation.objects.create(
            node=runtime.node, runtime=runtime, model_name=f"m{number}", state="former"
        )
    client = page_client("Operator")
    client.get("/runtimes/ollama/")
    for tab in ("now", "models", "log", "history"):
        with django_assert_max_num_queries(26):
            client.get("/runtimes/ollama/", {"tab": tab})


# The log


def test_a_level_is_read_as_servers_write_it():
    said = {
        "ERROR 11-21 12:00:00 [core.py:1] EngineCore failed": "error",
        "time=2026-11-21 level=ERROR source=x": "error",
        "ValueError: no available memory": "error",
        "Traceback (most recent call last):": "error",
        "WARNING 11-21 deprecated": "warning",
        "level=WARN msg=x": "warning",
        "INFO 11-21 errors=0": "info",
        "a line": "info",
    }
    assert {line: server_log.level_of(line) for line in said} == said


def test_a_traceback_goes_on_as_an_error():
    lines = ["INFO a", "Traceback (most recent call last):", '  File "x"', "INFO b"]
    found = server_log.matching(lines, level="error")
    assert [line.text for line in found] == lines[1:3]


def test_words_are_found_whatever_their_case():
    lines = ["INFO Loading weights", "WARN slow", "INFO done"]
    assert [line.text for line in server_log.matching(lines, words="WEIGHTS")] == [
        lines[0]
    ]
    assert len(server_log.matching(lines, level="nonsense")) == 3


def test_the_log_tab_shows_the_end_filters_it_and_offers_the_file(
    ours, look, page_client
):
    _, path = ours
    lines = [f"INFO line {number};" for number in range(400)]
    path.write_text("\n".join(["ERROR at the very start;", *lines, "<b>WARN now"]))

    page = look("log", name="vllm")
    assert "line 399;" in page
    assert "line 100;" not in page
    assert "&lt;b&gt;WARN now" in page
    assert "200 lines, the newest last" in page
    assert "data-often" not in page

    errors = look("log", name="vllm", level="error")
    assert "ERROR at the very start;" in errors
    assert "line 399;" not in errors
    assert "line 12;" in look("log", name="vllm", q="LINE 12;")
    assert "No line matches." in look("log", name="vllm", q="nothing-like-this")

    kept = page_client("Viewer").get("/runtimes/vllm/log/")
    assert kept["Content-Disposition"] == 'attachment; filename="vllm.log"'
    assert kept["Content-Type"].startswith("text/plain")
    assert b"line 1;" in kept.content


def test_a_followed_log_is_looked_at_again_with_the_same_filter(ours, look):
    _, path = ours
    path.write_text("INFO here\n")
    page = look("log", name="vllm", follow="1", level="error")
    live = re.search(r'<div id="server-log"[^>]*>', page)[0]
    assert "data-often" in live, "ui.js asks each second while the tab is seen"
    assert "every " not in live, "a poll of htmx would go on in a hidden tab"
    assert "level=error" in live
    assert "Stop following" in page


def test_a_look_at_a_followed_log_is_answered_by_the_lines_alone(ours, page_client):
    _, path = ours
    path.write_text("INFO here\n")
    url = "/runtimes/vllm/?tab=log&follow=1"
    answer = page_client("Viewer").get(url, headers={"HX-Request": "true"})
    part = answer.content.decode()
    assert part.strip().startswith('<div id="server-log"')
    assert "INFO here" in part
    assert "HX-Request" in answer["Vary"]


def test_the_run_before_is_kept_and_shown(ours, look):
    _, path = ours
    path.write_text("INFO of now\n")
    old = path.with_name("vllm-20261121T100000Z.log")
    old.write_text("ERROR of the run before\n")

    page = look("log", name="vllm")
    assert "Previous run" in page
    assert "of the run before" not in page
    page = look("log", name="vllm", run="previous", follow="1")
    assert "of the run before" in page
    assert "of now" not in page
    assert "data-often" not in page, "what has ended does not move"


def test_secrets_in_a_log_are_not_shown(ours, look, page_client):
    _, path = ours
    path.write_text("INFO Authorization: Bearer sk-abcdefghijklmnop1234\n")
    assert "abcdefghijklmnop" not in look("log", name="vllm")
    kept = page_client("Viewer").get("/runtimes/vllm/log/")
    assert b"abcdefghijklmnop" not in kept.content


def test_a_log_that_is_elsewhere_is_said_to_be(ours, look, settings):
    RuntimeFactory(online=True)
    assert "does not have its log" in look("log")
    settings.NODE = "another-node"
    assert "its log is read there" in look("log", name="vllm")


def test_what_is_typed_into_the_filter_is_not_swapped_away(ours, look):
    assert re.search(
        r'<section class="page" id="runtime-page">', look("log", name="vllm")
    )
    assert 'id="runtime-page" data-live' in look("history", name="vllm")


def test_an_empty_log_says_so(ours, look):
    assert "It has written nothing yet." in look("log", name="vllm")


# Settings


def test_the_settings_tab_names_the_variable_its_value_and_what_is_used(ours, look):
    runtime, _ = ours
    runtime.pid = 4711
    runtime.served_models = [{"name": "m", "context_length": 4096}]
    runtime.save()
    page = text_of(look("settings", name="vllm"))
    assert "VLLM_COMMAND" in page
    assert "4096" in page, "what the server says itself"
    assert "default" in page


def test_ollama_shows_its_profile_value_by_value(look):
    RuntimeFactory(online=True)
    page = text_of(look("settings"))
    assert "OLLAMA_CONTEXT_LENGTH" in page
    assert "profile " in page


def test_an_added_server_has_no_settings_of_ours(look):
    RuntimeFactory(name="shed", kind=RuntimeKind.OPENAI_COMPATIBLE, online=True)
    assert "?tab=settings" not in look("", name="shed")


def test_the_charts_tab_is_drawn_without_a_script(look):
    runtime = RuntimeFactory(online=True)
    RuntimeSample.objects.create(
        runtime=runtime, at=timezone.now(), status="online", latency_ms=5
    )
    page = look("charts")
    assert 'id="runtime-charts"' in page
    assert "<svg" in page
