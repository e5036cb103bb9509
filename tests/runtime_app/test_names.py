"""Names: four that should be one, and the one action that helps when they are not."""

from __future__ import annotations

import pytest

from runtime_app.services.names import compare, same_name

ALIAS, REPO = "gemma", "google/gemma-3-4b-it"
FOLDER = "hf/google/gemma-3-4b-it@abc"


def verdict(*names, **facts):
    return compare(*names, **facts)


def test_four_equal_names_are_all_well():
    found = verdict(REPO, REPO, [REPO], REPO)

    assert found.ok
    assert (found.repair, found.sentence) == ("", "")


@pytest.mark.parametrize("requested", ["", "auto", "default"])
def test_who_asks_for_whatever_is_active_asks_for_no_wrong_name(requested):
    assert verdict(REPO, REPO, [REPO], requested).ok


def test_of_what_nobody_knows_nothing_is_judged():
    assert verdict("", "", [REPO], "x").ok
    assert verdict(REPO, REPO, [], REPO).ok
    assert verdict(REPO, "", [REPO], "").ok


def test_ollama_leaves_latest_out_and_letter_case_does_not_make_two_names():
    assert verdict("gemma3", "gemma3:latest", ["gemma3:latest"], "gemma3").ok
    assert same_name("Gemma3:LATEST", "gemma3")
    assert not same_name("gemma3:4b", "gemma3")


def test_a_server_of_ours_that_publishes_another_name_is_activated_again():
    found = verdict(REPO, REPO, ["other"], "", can_restart=True)

    assert found.differing == ("published",)
    assert found.is_mismatch
    assert (found.repair, found.target) == ("activate", REPO)
    assert "“other”" in found.sentence
    assert f"Activate “{REPO}” again" in found.sentence


def test_the_same_folder_under_another_name_is_the_alias_of_a_foreign_server():
    root = f"/srv/data/models/{FOLDER}"

    found = verdict(REPO, REPO, [ALIAS], "", folder=FOLDER, roots={ALIAS: root})

    assert (found.repair, found.target, found.alias) == ("activate", ALIAS, ALIAS)


def test_a_name_that_differs_by_owner_or_case_is_taken_for_the_same_model():
    found = verdict(REPO, REPO, ["Gemma-3-4B-it"], "")

    assert (found.repair, found.target) == ("activate", "Gemma-3-4B-it")
    two = verdict(REPO, REPO, ["a/gemma-3-4b-it", "b/gemma-3-4b-it"], "")
    assert two.repair == "choose"


def test_with_nothing_alike_a_person_has_to_choose():
    found = verdict(REPO, REPO, ["a", "b", "c", "d"], "")

    assert (found.repair, found.target) == ("choose", "")
    assert "and 1 more" in found.sentence


def test_a_name_that_loaded_another_folder_lies():
    facts = {"folder": FOLDER, "roots": {REPO: "/models/something-else"}}

    assert verdict(REPO, REPO, [REPO], "", **facts).ok  # a foreign server may
    found = verdict(REPO, REPO, [REPO], "", can_restart=True, **facts)
    assert (found.repair, found.target) == ("activate", REPO)
    assert "/models/something-else" in found.sentence


def test_a_repository_as_root_proves_nothing():
    roots = {REPO: REPO}

    assert verdict(REPO, REPO, [REPO], "", folder=FOLDER, roots=roots).ok


def test_an_alias_whose_folder_is_proved_is_no_mismatch():
    roots = {ALIAS: f"/srv/{FOLDER}"}

    assert verdict(ALIAS, REPO, [ALIAS], "", folder=FOLDER, roots=roots).ok


def test_a_row_of_another_name_is_registered_anew():
    found = verdict(ALIAS, REPO, [ALIAS], "")

    assert found.differing == ("registered",)
    assert (found.repair, found.is_mismatch) == ("register", True)


def test_clients_that_ask_for_another_name_are_told_and_the_model_is_all_right():
    found = verdict(REPO, REPO, [REPO], "models/gemma")

    assert found.differing == ("requested",)
    assert (found.repair, found.target) == ("tell_clients", REPO)
    assert not found.ok
    assert not found.is_mismatch
