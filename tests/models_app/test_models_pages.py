"""Models as people see them: the list, one of them, and taking one away."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from models_app.models import InstalledModel, Operation
from models_app.services import operation_rows
from runtime_app.models import Activation
from tests.factories import (
    CapabilitiesFactory,
    InstalledModelFactory,
    OperationFactory,
    RuntimeFactory,
)

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def model(db):
    return InstalledModelFactory(name="gemma3:4b", size_bytes=3_300_000_000)


@pytest.fixture
def make_active(db):
    """make_active(model) → it answers on Ollama, which is online."""

    def make(model, **runtime):
        row = RuntimeFactory(online=True, **runtime)
        return Activation.objects.create(
            node=model.node,
            runtime=row,
            installed_model=model,
            model_name=model.name,
            served_name=model.name,
            state="active",
            activated_by="anna",
        )

    return make


def text_of(html):
    """What a person reads, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def names_in(page):
    return re.findall(r'role="rowheader"><a class="mono" href="[^"]+">([^<]+)', page)


def row_of(page, name):
    """The markup of the row of that model."""
    listed = page.split('id="recent-operations"')[0]
    rows = listed.split('<div role="row" id="')[1:]
    return next(row for row in rows if f">{name}</a>" in row)


def test_the_list_shows_what_is_installed_and_what_it_takes(page_client, model):
    InstalledModelFactory(name="phi3:mini", size_bytes=2_200_000_000)

    page = page_client("Operator").get("/models/").content.decode()

    assert "2 installed, 5.5 GB of 50.0 GB used" in text_of(page)
    assert re.search(r"The disk has [\d.]+ [GT]B free", text_of(page))
    assert "Q4_K_M" in row_of(page, "gemma3:4b")
    assert "3.3 GB" in row_of(page, "gemma3:4b")
    assert "/models/ollama/phi3:mini/" in page
    assert 'data-topics="ops,models"' in page


@pytest.fixture
def held_in_memory(db):
    """held_in_memory("gemma3:4b") → Ollama is online and holds it for four minutes."""

    def hold(name, minutes=4, **runtime):
        row = RuntimeFactory(online=True, last_check_at=timezone.now(), **runtime)
        leaves = timezone.now() + timedelta(minutes=minutes, seconds=12)
        row.loaded_models = [
            {
                "name": name,
                "size_bytes": 5 << 30,
                "size_vram_bytes": 4 << 30,
                "expires_at": leaves.isoformat() if minutes else None,
            }
        ]
        row.save()
        return row

    return hold


def test_the_active_box_says_who_answers(page_client, model, make_active):
    make_active(model, latency_ms=4.2)

    page = page_client("Viewer").get("/models/").content.decode()

    box = page.split('id="active-box"')[1].split("</section>")[0]
    assert "Active: gemma3:4b · Ollama @ 9" in text_of(box)
    assert "Online" in box
    assert "127.0.0.1:9" in box
    assert 'class="on" data-announce="gemma3:4b: Active"' in row_of(page, "gemma3:4b")


def test_the_active_box_says_what_is_wrong(page_client, model, make_active):
    active = make_active(model)
    active.runtime.status = "offline"
    active.runtime.error_message = "Ollama at 127.0.0.1:9 refused the connection."
    active.runtime.save()

    page = page_client("Viewer").get("/models/").content.decode()

    assert "refused the connection." in page
    assert "Ollama does not answer." in page
    assert "pill ok" not in row_of(page, "gemma3:4b")


def test_without_an_active_model_the_box_says_so(page_client, model):
    assert "No model is active" in page_client("Viewer").get("/models/").text


def test_a_loaded_model_counts_down(page_client, model, held_in_memory):
    held_in_memory("gemma3:4b")

    row = row_of(page_client("Viewer").get("/models/").text, "gemma3:4b")

    assert "Loaded" in row
    assert re.search(r"Unload in <time [^>]*data-until[^>]*>4:1[012]</time>", row)


def test_a_model_kept_for_ever_says_so(page_client, model, held_in_memory):
    held_in_memory("gemma3:4b", minutes=0)

    row = row_of(page_client("Viewer").get("/models/").text, "gemma3:4b")

    assert "stays loaded" in row


def test_broken_comes_first_then_active_then_by_last_use(page_client, make_active):
    now = timezone.now()
    InstalledModelFactory(name="never:1b")
    InstalledModelFactory(name="old:1b", last_used_at=now - timedelta(days=30))
    InstalledModelFactory(name="new:1b", last_used_at=now)
    make_active(InstalledModelFactory(name="active:1b"))
    InstalledModelFactory(name="broken:1b", status="broken", error="Wrong digest.")

    page = page_client("Operator").get("/models/").text

    assert names_in(page) == ["broken:1b", "active:1b", "new:1b", "old:1b", "never:1b"]
    assert "Wrong digest." in row_of(page, "broken:1b")
    assert "/models/install/?name=broken%3A1b" in row_of(page, "broken:1b")


def test_a_download_stands_above_as_its_operation(page_client, model):
    operation = OperationFactory(
        running=True, operation_type="install", provider="ollama", model_name="new:8b"
    )

    page = page_client("Operator").get("/models/").text

    assert f'<li id="operation-{operation.pk}"' in page.split('role="table"')[0]
    assert "Install new:8b" in page
    assert page.count(f'id="operation-{operation.pk}"') == 1
    assert "1 installed" in text_of(page)


def test_an_update_stands_in_the_row_of_its_model(page_client, model):
    operation = OperationFactory(
        running=True,
        operation_type="install",
        provider="ollama",
        model_name="gemma3:4b",
    )

    row = row_of(page_client("Operator").get("/models/").text, "gemma3:4b")

    assert "Updating" in row
    assert "40 %" in row
    assert f"/operations/{operation.pk}/" in row


def test_the_last_five_operations_show_their_newest_line(page_client, model):
    old = OperationFactory(completed=True, model_name="oldest")
    for number in range(5):
        OperationFactory(completed=True, params={"seconds": number})
    newest = Operation.objects.newest_first().first()
    operation_rows.write_log(newest.pk, "Step 1 of 5.")
    operation_rows.write_log(newest.pk, "Step 2 of 5.")

    page = page_client("Viewer").get("/models/").text

    recent = page.split('id="recent-operations"')[1]
    assert "Step 2 of 5." in recent
    assert "Step 1 of 5." not in recent
    assert str(old.pk) not in recent
    assert recent.count('<li class="op"') == 5


def test_the_filter_finds_by_a_part_of_the_name(page_client, model):
    InstalledModelFactory(name="phi3:mini")
    client = page_client("Viewer")

    page = client.get("/models/?q=GEMMA").text

    assert "gemma3:4b" in page
    assert "phi3:mini" not in page
    assert "2 installed" in text_of(page)
    assert 'value="GEMMA"' in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=old", "“old”"),
        ("provider=ollama&q=old", "Ollama"),
        ("family=gemma3", "gemma3"),
        ("state=broken", "Broken"),
        ("unused=1", "Unused for 30 days"),
    ],
)
def test_each_filter_narrows_the_list_and_is_a_chip(page_client, db, query, words):
    long = timezone.now() - timedelta(days=40)
    InstalledModelFactory(name="new:1b", family="phi3")
    InstalledModelFactory(
        name="old:1b",
        family="gemma3",
        status="broken",
        installed_at=long,
        last_used_at=long,
    )

    page = page_client("Viewer").get(f"/models/?{query}").text

    assert names_in(page) == ["old:1b"]
    assert "1 model found" in text_of(page)
    assert f'aria-label="Remove the filter {words}"' in page
    assert re.search(rf'data-announce="1 model · [^"]*{words}', page)
    assert "2 installed" in text_of(page)


def test_a_chip_leads_to_the_list_without_it_and_back_to_its_first_page(
    page_client, model
):
    client = page_client("Viewer")

    two = client.get("/models/?state=broken&unused=1&page=2").text
    one = client.get("/models/?q=zzz").text

    assert 'class="tag" href="/models/?unused=1"' in two
    assert 'class="tag" href="/models/?state=broken"' in two
    assert 'class="tag" href="/models/"' in one


def test_the_form_keeps_what_was_chosen(page_client, model):
    InstalledModelFactory(name="phi3:mini", family="phi3")
    asked = "family=phi3&state=installed&unused=1"

    page = page_client("Viewer").get(f"/models/?{asked}").text

    assert '<option value="phi3" selected>' in page
    assert '<option value="installed" selected>' in page
    assert re.search(r'name="unused"[^>]* checked', page)


def test_one_family_is_nothing_to_choose_from(page_client, model):
    page = page_client("Viewer").get("/models/").text

    assert 'name="family"' not in page
    assert 'name="state"' in page


def test_without_a_filter_there_are_no_chips(page_client, model):
    page = page_client("Viewer").get("/models/").text

    assert "Remove the filter" not in page
    assert 'data-announce="1 model"' in page


@pytest.mark.parametrize(
    "query",
    [
        "q=zzz",
        "q=" + "a" * 300,
        "provider=nobody",
        "state=nowhere",
        "family=" + "a" * 99,
        "page=0",
        "page=x",
        "page=99",
    ],
)
def test_a_strange_filter_is_never_an_error(page_client, model, query):
    assert page_client("Viewer").get(f"/models/?{query}").status_code == 200


def test_nothing_matches_is_said_with_the_way_back(page_client, model):
    page = page_client("Viewer").get("/models/?q=zzz").text

    assert "No installed model matches this filter." in page


def test_a_second_page_follows_after_fifty(page_client, model):
    InstalledModelFactory.create_batch(52)
    client = page_client("Viewer")

    first = client.get("/models/?q=1b").text
    second = client.get("/models/?q=1b&page=2").text

    assert "Page 1 of 2" in first
    assert "?q=1b&amp;page=2" in first
    assert second.count('role="rowheader"') == 2


def test_an_empty_installation_offers_what_fits(page_client, db):
    page = page_client("Operator").get("/models/").text

    assert "No models on this machine." in page
    offered = re.search(r'href="/models/install/\?name=(gemma3[^"]+)"', page)
    assert offered or "The smallest suggested model" in page


def test_the_button_opens_the_install_in_a_dialog_or_as_a_page(page_client, model):
    operator = page_client("Operator").get("/models/").text
    viewer = page_client("Viewer").get("/models/").text

    link = re.search(r'<a [^>]*href="/models/install/"[^>]*>', operator)[0]
    assert 'hx-get="/models/install/" hx-target="#install-body"' in link
    dialog = operator.split('<dialog class="wide" id="install-dialog"')[1]
    assert '<div id="install-body"></div>' in dialog
    assert "install-dialog" not in viewer


def test_a_viewer_of_an_empty_installation_gets_no_button(page_client, db):
    assert "/models/install/" not in page_client("Viewer").get("/models/").text


def test_a_profile_without_local_models_asks_for_a_cloud_key(page_client, settings):
    settings.RUNTIME_PROFILE = "llm_off"
    client = page_client("Operator")

    page = client.get("/models/").text

    assert "OPENAI_API_KEY" in page
    assert "GOOGLE_API_KEY" in page
    assert "VENOM_RUNTIME_PROFILE=light" in page
    assert "/models/install/" not in page


def test_a_viewer_sees_rows_without_buttons(page_client, model):
    page = page_client("Viewer").get("/models/").text

    row = row_of(page, "gemma3:4b").split("</section>")[0]
    assert "<form" not in row
    assert "Activate" not in row


def menu_of(client, name, headers=HTMX):
    address = f"/models/menu/?provider=ollama&name={name}"
    return client.get(address, headers=headers)


def test_a_row_carries_no_menu_but_the_way_to_it(page_client, model):
    row = row_of(page_client("Operator").get("/models/").text, "gemma3:4b")

    assert 'aria-label="More for gemma3:4b"' in row
    assert "/runtimes/ollama/activate/?model=gemma3%3A4b" in row
    address = "/models/menu/?provider=ollama&amp;name=gemma3%3A4b"
    assert f'hx-get="{address}" hx-trigger="intersect once"' in row
    assert '<a class="btn" href="/models/ollama/gemma3:4b/">All actions</a>' in row
    assert "<form" not in row


def test_an_operator_has_every_action_in_the_menu(page_client, model, held_in_memory):
    held_in_memory("gemma3:4b")

    menu = menu_of(page_client("Operator"), "gemma3:4b").text

    assert "/runtimes/ollama/activate/?model=gemma3%3A4b" in menu
    assert 'formaction="/runtimes/memory/unload/"' in menu
    assert 'name="pinned" value="true"' in menu
    assert 'formaction="/models/ollama/gemma3:4b/remove/"' in menu


def test_the_menu_by_itself_is_the_page_of_its_model(page_client, model):
    answer = menu_of(page_client("Operator"), "gemma3:4b", headers={})

    assert answer.status_code == 302
    assert answer["Location"] == "/models/ollama/gemma3:4b/"


@pytest.mark.parametrize(
    "asked", ["", "?provider=ollama&name=nobody", "?provider=floppy&name=gemma3:4b"]
)
def test_a_menu_of_nothing_is_not_found(page_client, model, asked):
    answer = page_client("Operator").get(f"/models/menu/{asked}", headers=HTMX)

    assert answer.status_code == 404


@pytest.mark.parametrize("why", ["active", "pinned"])
def test_what_may_not_go_is_locked_with_the_reason(
    page_client, model, make_active, why
):
    if why == "active":
        make_active(model)
    else:
        InstalledModel.objects.update(pinned=True)

    menu = menu_of(page_client("Operator"), "gemma3:4b").text

    assert 'aria-disabled="true"' in menu
    assert "/remove/" not in menu
    assert ("switch away first" if why == "active" else "unpin it first") in menu


# Taking one away


def test_removing_turns_the_row_into_a_countdown_with_undo(page_client, model):
    answer = page_client("Operator").post(
        "/models/ollama/gemma3:4b/remove/", headers=HTMX
    )

    operation = Operation.objects.get()
    assert operation.operation_type == "remove"
    assert (operation.phase, operation.status) == ("scheduled", "pending")
    assert re.search(r"Removing in <time [^>]*data-until[^>]*>0:(10|09)<", answer.text)
    assert f"/operations/{operation.pk}/cancel/" in answer.text
    assert 'hx-swap-oob="beforeend"' in answer.text


def test_removing_without_a_script_leads_back_to_the_list(page_client, model):
    client = page_client("Operator")

    answer = client.post("/models/ollama/gemma3:4b/remove/", follow=True)

    assert answer.redirect_chain[0][0] == "/models/"
    assert "gemma3:4b will be removed in 10 s." in answer.text


def test_undo_gives_the_row_back(page_client, model):
    client = page_client("Operator")
    client.post("/models/ollama/gemma3:4b/remove/")
    operation = Operation.objects.get()

    client.post(f"/operations/{operation.pk}/cancel/")

    row = row_of(client.get("/models/").text, "gemma3:4b")
    assert "Installed" in row
    assert "Undo" not in row


def test_the_active_model_stays_and_the_refusal_is_a_toast(
    page_client, model, make_active
):
    make_active(model)

    answer = page_client("Operator").post(
        "/models/ollama/gemma3:4b/remove/", headers=HTMX
    )

    assert answer.status_code == 409
    assert "model_active" in answer.text
    assert not Operation.objects.exists()


def test_a_viewer_removes_nothing(page_client, model):
    answer = page_client("Viewer").post("/models/ollama/gemma3:4b/remove/")

    assert answer.status_code == 403
    assert not Operation.objects.exists()


# One model


def test_the_page_of_a_model_says_what_it_is(page_client, model, make_active):
    CapabilitiesFactory(model=model, supports_vision=True, supports_thinking=False)
    make_active(model)
    OperationFactory(
        completed=True,
        operation_type="install",
        provider="ollama",
        model_name="gemma3:4b",
    )

    page = page_client("Operator").get("/models/ollama/gemma3:4b/").text
    words = text_of(page)

    assert model.short_digest in page
    assert f'data-copy="{model.digest}"' in page
    assert "3.3 GB" in words
    assert "Q4_K_M" in words
    assert "32 768 tokens" in words
    assert "declared" in words
    assert "on Ollama" in words
    assert "anna" in words
    assert "Install gemma3:4b" in words
    assert "Activate another model first." in words
    assert "model_active" in words


def test_the_page_says_what_removing_frees(page_client, model):
    same = InstalledModelFactory(name="gemma3:latest", digest=model.digest)
    client = page_client("Operator")

    shared = text_of(client.get("/models/ollama/gemma3:4b/").text)
    same.delete()
    alone = text_of(client.get("/models/ollama/gemma3:4b/").text)

    assert "Nothing is freed" in shared
    assert "gemma3:latest" in shared
    assert "Up to 3.3 GB on the disk are freed." in alone


def test_the_page_says_what_is_in_memory(page_client, model, held_in_memory):
    held_in_memory("gemma3:4b")

    words = text_of(page_client("Viewer").get("/models/ollama/gemma3:4b/").text)

    assert "5.0 GiB loaded · 4.0 GiB on the GPU" in words
    assert re.search(r"unload in 4:1[012]", words)


def test_what_lies_on_the_gpu_in_whole_is_said_once(page_client, model, held_in_memory):
    server = held_in_memory("gemma3:4b")
    server.loaded_models[0]["size_vram_bytes"] = 5 << 30
    server.save()

    words = text_of(page_client("Viewer").get("/models/ollama/gemma3:4b/").text)

    assert "loaded · 5.0 GiB on the GPU" in words
    assert "5.0 GiB loaded" not in words


def test_a_name_with_slashes_has_a_page(page_client, db):
    InstalledModelFactory(name="hf.co/org/model-GGUF:Q4_K_M")
    odd = InstalledModelFactory(name="org/remove:latest")
    client = page_client("Operator")

    found = client.get("/models/ollama/hf.co/org/model-GGUF:Q4_K_M/")
    encoded = client.get("/models/ollama/hf.co%2Forg%2Fmodel-GGUF%3AQ4_K_M/")

    assert "org/model-GGUF" in found.text
    assert encoded.status_code == 200
    assert client.get(odd.get_absolute_url()).status_code == 200
    assert client.get("/models/ollama/org/remove/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/models/nobody/gemma3:4b/",
        "/models/ollama/../x/",
        "/models/ollama/" + "a" * 300 + "/",
        "/models/ollama/модель/",
        "/models/ollama/a b/",
    ],
)
def test_an_unknown_model_is_404(page_client, model, path):
    client = page_client("Operator")

    assert client.get(path).status_code == 404
    assert client.post(f"{path}remove/").status_code == 404


def test_another_profiles_provider_is_403(page_client, model):
    answer = page_client("Operator").get("/models/huggingface/org/model/")

    assert answer.status_code == 403
    assert "full" in answer.text


def test_a_model_page_takes_few_queries(
    page_client, model, make_active, django_assert_max_num_queries
):
    make_active(model)
    for _ in range(5):
        OperationFactory(
            completed=True,
            operation_type="install",
            provider="ollama",
            model_name="gemma3:4b",
        )
    client = page_client("Operator")
    client.get("/models/ollama/gemma3:4b/")

    with django_assert_max_num_queries(16):
        client.get("/models/ollama/gemma3:4b/")


def test_jump_finds_an_installed_model_before_its_server(page_client, model):
    RuntimeFactory(online=True)

    page = page_client("Viewer").get("/jump/?q=gemma").text

    assert 'href="/models/ollama/gemma3:4b/"' in page
    assert page.count(">gemma3:4b</a>") == 1


def test_the_rail_leads_here_by_a_key(page_client, model):
    page = page_client("Viewer").get("/models/").text

    assert re.search(r'href="/models/" data-key="m" aria-current="page"', page)


# How much


@pytest.fixture
def a_thousand(db):
    node = InstalledModelFactory().node
    rows = InstalledModelFactory.build_batch(999, node=node)
    InstalledModel.objects.bulk_create(rows)


@pytest.mark.parametrize("query", ["", "?page=2", "?q=b&state=installed&unused="])
def test_a_thousand_models_take_fourteen_queries_and_twenty_kilobytes(
    page_client, a_thousand, make_active, django_assert_max_num_queries, query
):
    make_active(InstalledModel.objects.first())
    OperationFactory(
        running=True, operation_type="install", provider="ollama", model_name="new:8b"
    )
    client = page_client("Operator")
    client.get("/models/")

    with django_assert_max_num_queries(14):
        page = client.get(f"/models/{query}").content

    assert page.count(b'role="row"') >= 50
    assert len(gzip.compress(page)) < 20_000
