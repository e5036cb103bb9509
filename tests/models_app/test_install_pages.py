"""The page about an install: naming a model, what the check found, starting it."""

from __future__ import annotations

import re

import pytest

from models_app.models import Operation
from tests.factories import InstalledModelFactory, OperationFactory

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.ollama_fixtures")
pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
PAGE = "/models/install/"
LARGE = "llama3.3:70b"


@pytest.fixture
def operator(page_client, ollama):
    return page_client("Operator")


def check_of(page):
    return page.split('id="install-check"')[1].split("</section>")[0]


def test_the_page_asks_for_a_name_and_checks_nothing_yet(operator, practice_registry):
    page = operator.get(PAGE).text

    assert 'name="name"' in page
    assert 'id="install-check"' not in page
    assert not practice_registry.state.requests


def test_in_a_dialog_the_field_is_the_first_stop_and_the_address_stays(operator):
    here = HTMX | {"HX-Current-URL": f"http://testserver{PAGE}?name=x:1b"}
    there = HTMX | {"HX-Current-URL": "http://testserver/models/?q=install"}

    page = operator.get(PAGE, headers=here).text
    dialog = operator.get(PAGE, headers=there).text
    checked = operator.get(f"{PAGE}?name=qwen3:0.6b", headers=there).text

    assert 'hx-push-url="true"' in page
    assert " autofocus" not in page
    assert "hx-push-url" not in dialog
    assert re.search(r'<input[^>]* name="name"[^>]* autofocus', dialog)
    assert "hx-push-url" not in checked
    assert " autofocus" not in checked
    assert 'id="install-check"' in checked


def test_the_check_says_what_is_good_and_the_button_what_it_fetches(operator):
    check = check_of(operator.get(f"{PAGE}?name=qwen3:0.6b").text)

    assert "Install 522.7 MB" in check or "Install 523 MB" in check
    assert 'class="ok"' in check
    assert "Good:" in check
    assert 'class="bad"' not in check
    assert "Activate when installed" in check
    assert not Operation.objects.exists()


def test_pressing_starts_the_install_and_leads_to_it(operator):
    wanted = {"name": "qwen3:0.6b", "provider": "ollama", "activate": "1"}

    answer = operator.post(PAGE, wanted)

    operation = Operation.objects.get()
    assert answer["Location"] == operation.get_absolute_url()
    assert operation.model_name == "qwen3:0.6b"
    assert operation.params["activate"] == "now"
    assert operation.started_by == "operator"


def test_a_script_is_led_there_too(operator):
    answer = operator.post(PAGE, {"name": "qwen3:0.6b"}, headers=HTMX)

    assert answer.status_code == 204
    assert answer["HX-Redirect"] == Operation.objects.get().get_absolute_url()


def test_without_the_box_nothing_is_activated_afterwards(operator):
    operator.post(PAGE, {"name": "qwen3:0.6b"})

    assert Operation.objects.get().params["activate"] == "no"


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", "two words", "модель", "a" * 300, "a:b:c", "/etc"]
)
def test_a_name_that_cannot_be_is_422_with_the_form(operator, practice_registry, name):
    shown = operator.get(PAGE, {"name": name})
    sent = operator.post(PAGE, {"name": name})

    for answer in (shown, sent):
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert 'id="install-check"' not in answer.text
    assert not practice_registry.state.requests
    assert not Operation.objects.exists()


def test_a_source_we_do_not_know_is_422(operator):
    answer = operator.post(PAGE, {"name": "qwen3:0.6b", "provider": "dockerhub"})

    assert answer.status_code == 422
    assert not Operation.objects.exists()


def test_a_large_model_wants_a_tick(operator):
    check = check_of(operator.get(f"{PAGE}?name={LARGE}").text)

    assert "Yes, 42.5 GB" in check
    assert re.search(r'name="confirm_large"[^>]* required', check)


def test_without_the_tick_nothing_starts_and_the_page_says_why(operator):
    answer = operator.post(PAGE, {"name": LARGE})

    assert answer.status_code == 422
    assert "confirm_required" in answer.text
    assert "Yes, 42.5 GB" in answer.text
    assert not Operation.objects.exists()


def test_with_the_tick_it_starts(operator):
    operator.post(PAGE, {"name": LARGE, "confirm_large": "1"})

    assert Operation.objects.get().model_name == LARGE


def test_what_does_not_fit_has_a_reason_in_place_of_the_button(operator, environment):
    environment(MODELS_MAX_DISK_GB=0.1)

    shown = operator.get(f"{PAGE}?name=qwen3:0.6b").text
    sent = operator.post(PAGE, {"name": "qwen3:0.6b"})

    assert 'class="bad"' in check_of(shown)
    assert 'aria-disabled="true"' in check_of(shown)
    assert 'id="install-button"' not in shown
    assert sent.status_code == 422
    assert "does_not_fit" in sent.text
    assert not Operation.objects.exists()


def test_what_is_installed_says_so_and_offers_a_look_for_an_update(operator):
    InstalledModelFactory(name="qwen3:0.6b")

    check = check_of(operator.get(f"{PAGE}?name=qwen3:0.6b").text)

    assert "qwen3:0.6b is installed." in check
    assert "Check for an update" in check
    assert "/models/ollama/qwen3:0.6b/" in check


def test_what_is_being_installed_is_watched_not_started(operator):
    operator.post(PAGE, {"name": "qwen3:0.6b"})
    running = Operation.objects.get()

    check = check_of(operator.get(f"{PAGE}?name=qwen3:0.6b").text)

    assert running.get_absolute_url() in check
    assert 'id="install-button"' not in check


def test_two_people_who_press_have_one_install(operator):
    operator.post(PAGE, {"name": "qwen3:0.6b"})

    answer = operator.post(PAGE, {"name": "qwen3:0.6b"})

    assert answer["Location"] == Operation.objects.get().get_absolute_url()


def test_a_removal_under_way_is_409(operator):
    model = InstalledModelFactory(name="qwen3:0.6b")
    removal = OperationFactory(
        operation_type="remove",
        provider="ollama",
        model_name=model.name,
        target_key="test-node|model|ollama/qwen3:0.6b",
    )

    answer = operator.post(PAGE, {"name": "qwen3:0.6b"})

    assert answer.status_code == 409
    assert Operation.objects.get() == removal


def test_a_registry_that_is_away_is_a_warning_not_an_end(operator, practice_registry):
    practice_registry.stop()

    check = check_of(operator.get(f"{PAGE}?name=qwen3:0.6b").text)

    assert "Warning:" in check
    assert "Install qwen3:0.6b" in check


def test_a_profile_without_local_models_has_no_such_page(page_client, environment):
    environment(VENOM_RUNTIME_PROFILE="llm_off")
    client = page_client("Operator")

    for answer in (client.get(PAGE), client.post(PAGE, {"name": "qwen3:0.6b"})):
        assert answer.status_code == 403
        assert "VENOM_RUNTIME_PROFILE" in answer.text
    assert not Operation.objects.exists()


def test_a_viewer_installs_nothing(page_client, ollama):
    client = page_client("Viewer")

    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"name": "qwen3:0.6b"}).status_code == 403
    assert not Operation.objects.exists()
