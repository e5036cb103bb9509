"""Pages of models from the hub: the install dialog, versions, what is not ours."""

from __future__ import annotations

import pytest

from models_app.models import InstalledModel, Operation
from tests.factories import InstalledModelFactory
from tests.models_app.hub_installs import TINY, installed, repo_of

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)

INSTALL = "/models/install/"
PAGE = f"/models/huggingface/{TINY}/"


@pytest.fixture
def browser(shop, page_client):
    return page_client("Operator")


def checked(browser, name=TINY, **more):
    wish = {"name": name, "provider": "huggingface", **more}
    return browser.get(INSTALL, wish)


@pytest.fixture
def two(shop):
    """The old and the new commit of the tiny one, both installed."""
    installed(TINY)
    old = repo_of(shop, TINY).commit
    new = repo_of(shop, TINY).publish({"generation_config.json": b"{}"})
    installed(TINY)
    return old, new


def test_the_dialog_offers_both_sources_and_a_revision(browser):
    page = browser.get(INSTALL).content.decode()

    assert "Hugging Face" in page
    assert 'name="revision"' in page


def test_the_light_profile_offers_neither(browser, environment):
    environment(VENOM_RUNTIME_PROFILE="light")

    page = browser.get(INSTALL).content.decode()

    assert 'value="huggingface"' not in page
    assert 'name="revision"' not in page


def test_the_check_pins_what_the_button_installs(browser, shop):
    commit = repo_of(shop, TINY).commit

    page = checked(browser)
    assert f'name="revision" value="{commit}"' in page.content.decode()
    wish = {"name": TINY, "provider": "huggingface", "revision": commit}
    answer = browser.post(INSTALL, wish)

    assert answer.status_code == 302
    assert Operation.objects.get().params["revision"] == commit


def test_what_the_hub_refuses_stands_in_the_check_with_the_next_step(browser):
    page = checked(browser, "practice/tiny-gated").content.decode()

    assert "Add a token (HF_TOKEN)" in page
    assert "Cannot be installed now" in page
    assert 'aria-describedby="finding-source ' in page
    answer = browser.post(
        INSTALL, {"name": "practice/tiny-gated", "provider": "huggingface"}
    )
    assert answer.status_code == 422
    assert "gated_model" in answer.content.decode()


def test_what_does_not_fit_shows_what_could_leave(browser, environment):
    old = InstalledModelFactory(name="old:1b", size_bytes=800_000)
    environment(MODELS_MAX_DISK_GB=0.001)

    page = checked(browser).content.decode()

    assert "Remove 1 model" in page
    assert f"{old.get_absolute_url()}#removal" in page


def test_the_list_has_one_row_that_counts_the_versions(browser, two):
    page = browser.get("/models/").content.decode()

    assert page.count(f'role="rowheader"><a class="mono" href="{PAGE}"') == 1
    assert "2 versions" in page
    assert f"{PAGE}#versions" in page


def test_the_page_shows_the_newest_and_links_to_the_others(browser, two):
    old, new = two

    newest = browser.get(PAGE).content.decode()
    assert f'title="{new}">{new[:12]}</code>' in newest
    assert f"?revision={old}" in newest
    older = browser.get(f"{PAGE}?revision={old}").content.decode()
    assert f'title="{old}">{old[:12]}</code>' in older
    assert browser.get(f"{PAGE}?revision={'c' * 40}").status_code == 404


def test_removing_takes_the_version_that_is_shown(browser, two):
    old, _new = two

    assert browser.post(f"{PAGE}remove/").status_code == 409
    assert browser.post(f"{PAGE}remove/", {"revision": old}).status_code == 302

    removal = Operation.objects.get(operation_type="remove")
    assert removal.params["revision"] == old


def test_what_others_put_there_cannot_be_removed_and_says_why(browser):
    model = InstalledModelFactory(
        name="org/model",
        provider="huggingface",
        is_foreign=True,
        path="/shelf/org/model",
    )

    page = browser.get(model.get_absolute_url()).content.decode()

    assert "foreign_folder" in page
    assert "/shelf/org/model" in page
    menu = browser.get(
        "/models/menu/?provider=huggingface&name=org/model",
        headers={"HX-Request": "true"},
    )
    assert "nothing is deleted in scanned folders" in menu.content.decode()


def test_a_list_can_be_ordered(browser):
    InstalledModelFactory(name="small:1b", size_bytes=1)
    InstalledModelFactory(name="large:1b", size_bytes=9)

    page = browser.get("/models/?order=size").content.decode()

    assert page.index("large:1b") < page.index("small:1b")
    assert '<option value="size" selected>' in page
    assert InstalledModel.objects.count() == 2
