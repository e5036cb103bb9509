"""What the card of a runtime says in each of its states."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from runtime_app.choices import RuntimeKind, RuntimeStatus
from runtime_app.models import Activation
from runtime_app.views.card_shapes import MOST_SHOWN
from runtime_app.views.cards import all_cards
from tests.factories import InstalledModelFactory, OperationFactory, RuntimeFactory

pytestmark = pytest.mark.django_db

GIB = 1 << 30


def served(*names: str) -> list[dict]:
    return [{"name": name, "size_bytes": 3_300_000_000} for name in names]


def loaded(name: str = "gemma3:4b", **facts) -> dict:
    given = {
        "name": name,
        "size_bytes": 5 * GIB,
        "size_vram_bytes": 5 * GIB,
        "expires_at": (timezone.now() + timedelta(seconds=252)).isoformat(),
    }
    return given | facts


@pytest.fixture
def look(page_client):
    """look() → the page of Ollama as an operator sees it."""

    def open_page(group: str = "Operator", path: str = "/runtimes/ollama/") -> str:
        answer = page_client(group).get(path)
        assert answer.status_code == 200
        return answer.content.decode()

    return open_page


def make(**fields):
    facts = {"online": True, "served_models": served("gemma3:4b", "phi3:mini")}
    return RuntimeFactory(**(facts | fields))


def activate(runtime, name: str) -> None:
    Activation.objects.create(
        node=runtime.node,
        runtime=runtime,
        model_name=name,
        served_name=name,
        state="active",
    )


def test_what_is_in_memory_counts_down_and_can_be_pinned_or_unloaded(look):
    make(loaded_models=[loaded()])

    page = look()

    assert "5.0 GiB on the GPU" in page
    assert re.search(r"unload in <time [^>]*data-until=\"[^\"]+\">4:1\d</time>", page)
    for verb in ("load", "unload", "pin", "unload-all"):
        assert f'action="/runtimes/memory/{verb}/"' in page
    assert 'name="pinned" value="true"' in page
    assert 'aria-label="Unload: gemma3:4b"' in page
    assert 'aria-label="Load: phi3:mini"' in page
    assert 'aria-label="Load: gemma3:4b"' not in page, "it is loaded already"


def test_a_viewer_sees_memory_and_no_buttons(look):
    make(loaded_models=[loaded()])
    page = look("Viewer")
    assert "5.0 GiB on the GPU" in page
    assert "/runtimes/memory/" not in page


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"size_vram_bytes": 0}, "5.0 GiB, without a GPU"),
        ({"size_vram_bytes": 2 * GIB}, "5.0 GiB, of it 2.0 GiB on the GPU"),
        ({"expires_at": None}, "stays until it is unloaded"),
        ({"size_bytes": None, "size_vram_bytes": None}, "unload in"),
    ],
)
def test_memory_is_said_in_words(look, facts, words):
    make(loaded_models=[loaded(**facts)])
    assert words in look()


def test_a_pinned_model_offers_to_unpin(look):
    runtime = make(loaded_models=[loaded(expires_at=None)])
    InstalledModelFactory(name="gemma3:4b", node=runtime.node, pinned=True)

    page = look()

    assert "pinned" in page
    assert 'name="pinned" value="false"' in page
    assert 'aria-label="Unpin: gemma3:4b"' in page


def test_a_model_that_was_deleted_but_is_in_memory_can_still_be_unloaded(look):
    make(loaded_models=[loaded("gone:1b")])
    assert 'aria-label="Unload: gone:1b"' in look()


def test_a_server_that_cannot_unload_offers_neither_load_nor_unload(look):
    make(name="shed", kind=RuntimeKind.OPENAI_COMPATIBLE, loaded_models=[loaded()])
    page = look(path="/runtimes/shed/")
    assert "/runtimes/memory/" not in page
    assert "/runtimes/shed/activate/?model=phi3%3Amini" in page


def test_nothing_in_memory_is_said(look):
    make()
    assert "No model is in memory. The first request loads one." in look()


def test_a_card_shows_a_few_of_a_thousand_models_and_where_the_others_are(look):
    names = [f"model-{number:03}:1b" for number in range(1000)]
    runtime = make(served_models=served(*names), loaded_models=[loaded(names[500])])
    activate(runtime, names[999])

    page = look()

    shown = re.findall(r'<td><b class="mono">([^<]+)</b>', page)
    assert shown[:3] == [names[999], names[500], names[0]]
    assert len(shown) == MOST_SHOWN
    assert "and 992 more" in page
    assert 'href="/models/?provider=ollama"' in page


def test_the_other_models_of_a_server_added_by_hand_are_where_one_is_chosen(look):
    names = [f"model-{number}" for number in range(10)]
    make(
        name="shed",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        served_models=served(*names),
    )
    page = look(path="/runtimes/shed/")
    assert '<a href="/runtimes/shed/activate/">and 2 more</a>' in page


def test_an_offline_server_says_what_to_do_and_shows_what_was(look):
    make(
        status=RuntimeStatus.OFFLINE,
        error_message="http://127.0.0.1:9 does not accept connections.",
        loaded_models=[loaded()],
        last_answer_at=timezone.now() - timedelta(minutes=2),
    )

    page = look()

    assert "does not accept connections." in page
    assert "ollama serve" in page
    assert "The list below is the last one it gave." in page
    assert "last answer" in page
    assert "In memory" not in page, "nobody knows what is in memory now"
    assert "/runtimes/memory/" not in page


def test_a_server_that_is_too_old_says_so_once(look):
    make(
        status=RuntimeStatus.DEGRADED,
        version="0.12.1",
        error_message="Ollama 0.12.1 is too old: 0.16 and newer is supported. "
        "Update it.",
    )
    page = look()
    assert "Degraded" in page
    assert page.count("is too old") == 1


def test_many_changes_are_one_state_with_their_count(look):
    now = timezone.now()
    changes = [(now - timedelta(seconds=n)).isoformat() for n in range(5)]
    make(recent_changes=changes)

    page = look()

    assert "Unstable: 5 changes in 5 min" in page
    assert "comes and goes; at the last check: Online." in page
    assert 'data-status="unstable"' in page
    card = page[page.index('id="runtime-ollama"') : page.index("</header>", 9000)]
    assert "circle-check" not in card, "no second pill that flickers"


def test_the_chip_does_not_flicker_either(look):
    now = timezone.now()
    changes = [(now - timedelta(seconds=n)).isoformat() for n in range(5)]
    activate(make(recent_changes=changes), "gemma3:4b")
    page = look()
    chip = page[page.index('id="chip"') :]
    assert "Unstable" in chip[: chip.index("</a>")]


@pytest.mark.parametrize(("number", "words"), [(1, "1 half download "), (2, "2 half")])
def test_running_downloads_warn_of_a_restart(look, number, words):
    runtime = make()
    for _ in range(number):
        OperationFactory(
            running=True,
            operation_type="install",
            provider="ollama",
            node=runtime.node,
            model_name="llama3.1:8b",
        )
    page = look()
    assert f"A restart of Ollama now may lose {words}" in page


@pytest.mark.parametrize(
    "fields",
    [
        {"provider": "huggingface", "running": True},
        {"provider": "ollama", "completed": True},
        {"provider": "ollama"},
    ],
)
def test_downloads_elsewhere_over_or_not_begun_do_not_warn(look, fields):
    runtime = make()
    OperationFactory(operation_type="install", node=runtime.node, **fields)
    assert "half download" not in look()


def test_a_lock_shows_its_face_and_the_buttons_say_why(look):
    runtime = make()
    holder = OperationFactory(
        running=True,
        operation_type="activate",
        model_name="phi3:mini",
        node=runtime.node,
        lock_key="test-node|runtimes",
        started_by="anna",
        started_at=timezone.now() - timedelta(seconds=41),
    )

    page = look()

    assert re.search(
        r"Locked by “Activate phi3:mini”, anna, <time[^>]+data-since>0:4\d", page
    )
    assert f'href="/operations/{holder.pk}/"' in page
    assert 'aria-disabled="true" tabindex="0"' in page
    assert "waits for “Activate phi3:mini”" in page
    assert "/activate/?model=" not in page


def test_an_empty_server_says_that_it_has_no_model(look):
    make(served_models=[])
    assert "It answers, but it has no model yet." in look()


def test_names_from_a_server_are_text_and_never_markup(look):
    make(
        served_models=served("<script>x</script>"),
        loaded_models=[loaded('"><b>y')],
        error_message="<i>z</i>",
    )
    page = look()
    for markup in ("<script>x", '"><b>y', "<i>z"):
        assert markup not in page


def test_a_card_costs_at_most_five_queries(django_assert_max_num_queries):
    for number in range(12):
        make(name=f"server-{number}", loaded_models=[loaded()])
    with django_assert_max_num_queries(5):
        assert len(all_cards()) == 12


def test_the_page_of_a_runtime_asks_at_most_twelve_times(
    page_client, django_assert_max_num_queries
):
    runtime = make(loaded_models=[loaded()])
    activate(runtime, "gemma3:4b")
    OperationFactory(running=True, node=runtime.node, lock_key="test-node|runtimes")
    client = page_client("Operator")
    client.get("/runtimes/ollama/")
    with django_assert_max_num_queries(12):
        client.get("/runtimes/ollama/")
