"""What the history keeps of an answer of several choices."""

from __future__ import annotations

import pytest

from runtime_app.gateway.answer_choices import AnswerChoices
from runtime_app.gateway.schemas import Wish
from tests.fakes.raw import RawServer, event, head, whole

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
PROMPT = [{"role": "user", "content": "Three names for a boat"}]
SECRET = "sk-" + "a1B2" * 12
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def storing(start_gateway, deadlines):
    def make(kept: str):
        deadlines(VENOM_STORE_PROMPTS=kept)
        return start_gateway()

    return make


def kept_of(gateway, pieces, *, path: str = CHAT, **fields) -> str:
    """What the history says after a server answered with these bytes."""
    asked = {"messages": PROMPT} if path == CHAT else {"prompt": "A boat"}
    with RawServer(pieces) as server:
        gateway.add("lab", server.url, "m", active="m")
        gateway.http().post(path, json=asked | fields).raise_for_status()
    return gateway.record().answer_preview


def delta(index: int, words: str | None, **fields) -> dict:
    return {"index": index, "delta": {"content": words}, **fields}


def chunks(*choices: dict) -> list[bytes]:
    """A stream with one event for each of these."""
    events = [event({"choices": [choice]}) for choice in choices]
    return [head("text/event-stream"), *events, DONE]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_plain_answer_is_kept_choice_by_choice(storing, path):
    words = ("Ania", "Basia", "Celina")
    choices = [
        {"index": index, "text": text}
        if path == COMPLETIONS
        else {"index": index, "message": {"role": "assistant", "content": text}}
        for index, text in enumerate(words)
    ]
    kept = kept_of(storing("preview"), [whole({"choices": choices})], path=path, n=3)
    assert kept == "[0] Ania\n\n[1] Basia\n\n[2] Celina"


def test_a_stream_whose_choices_come_mixed_is_kept_choice_by_choice(storing):
    mixed = chunks(
        delta(1, "Ba"), delta(0, "An"), delta(1, "sia 🐢"), delta(0, "ia\n2"),
        delta(0, None, finish_reason="stop"), delta(1, "", finish_reason="stop"),
    )  # fmt: skip
    kept = kept_of(storing("full"), mixed, n=2, stream=True)
    assert kept == "[0] Ania\n2\n\n[1] Basia 🐢"


def test_one_event_may_hold_several_choices(storing):
    both = event({"choices": [delta(0, "Ania"), delta(1, "Basia")]})
    pieces = [head("text/event-stream"), both, DONE]
    kept = kept_of(storing("full"), pieces, n=2, stream=True)
    assert kept == "[0] Ania\n\n[1] Basia"


def test_several_prompts_of_a_completion_are_several_choices(storing):
    choices = [{"index": 1, "text": "Basia"}, {"index": 0, "text": "Ania"}]
    answer = [whole({"choices": choices})]
    kept = kept_of(storing("full"), answer, path=COMPLETIONS, prompt=["a", "b"])
    assert kept == "[0] Ania\n\n[1] Basia"


def test_a_server_that_knows_one_answer_only_is_kept_as_always(storing):
    kept = kept_of(storing("preview"), chunks(delta(0, "Ania")), n=2, stream=True)
    assert kept == "Ania"


def test_a_long_choice_leaves_room_for_the_others(storing):
    mixed = chunks(delta(0, "x" * 900), delta(1, "Basia"), delta(2, "y" * 900))
    kept = kept_of(storing("preview"), mixed, n=3, stream=True)
    assert len(kept) <= 500
    first, second, third = kept.split("\n\n")
    assert second == "[1] Basia"
    assert 230 < len(first) <= len(third) < 250


def test_a_secret_on_the_edge_of_a_share_is_masked(storing):
    at_edge = f"{'x' * 225} {SECRET} and more of it" + "x" * 300
    mixed = chunks(delta(0, at_edge), delta(1, "y" * 900))
    kept = kept_of(storing("preview"), mixed, n=2, stream=True)
    assert "y" * 200 in kept
    assert SECRET[:12] not in kept


def test_of_very_many_choices_the_rest_is_counted():
    found = AnswerChoices(CHAT, 700, 500)
    for index in range(128):
        found.add(event({"choices": [delta(index, "words " * 20)]}))
    kept = found.text()
    assert len(kept) <= 500
    assert kept.startswith("[0] words")
    assert kept.endswith("[+108]")


def test_nothing_is_kept_of_several_choices_when_nothing_is_to_be_kept(storing):
    mixed = chunks(delta(0, "Ania"), delta(1, "Basia"))
    assert kept_of(storing("none"), mixed, n=2, stream=True) == ""


@pytest.mark.parametrize(
    "choice",
    [
        {"index": -1, "delta": {"content": "x"}},
        {"index": 10**30, "delta": {"content": "x"}},
        {"index": "0", "delta": {"content": "x"}},
        {"index": 0, "delta": {"content": ["x"]}},
        {"index": 0, "delta": "x"},
        "x",
        None,
    ],
)
def test_choices_that_are_none_are_left_out(choice):
    found = AnswerChoices(CHAT, 700, 500)
    found.add(event({"choices": [choice]}) + b"data: {half\n\n" + event({"choices": 1}))
    assert found.text() == ""


def test_a_letter_that_came_in_two_halves_is_one():
    found = AnswerChoices(CHAT, 700, 500)
    for half in ("\ud83d", "\udc22"):
        found.add(event({"choices": [delta(0, half)]}))
    assert found.text() == "🐢"


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [
        ({}, True),
        ({"n": 1}, True),
        ({"n": None}, True),
        ({"n": 2}, False),
        ({"n": "2"}, False),
        ({"n": [1]}, False),
        ({"prompt": "a"}, True),
        ({"prompt": ["a"]}, True),
        ({"prompt": [1, 2]}, True),
        ({"prompt": [[1, 2], [3]]}, False),
        ({"prompt": ["a", "b"]}, False),
    ],
)
def test_how_many_choices_are_asked_for(fields, is_one):
    wish = Wish(
        path=COMPLETIONS, raw=b"", fields=fields, model=None, stream=False,
        wants_usage=False,
    )  # fmt: skip
    assert wish.has_one_choice is is_one


def test_a_number_of_choices_that_is_none_is_the_servers_to_refuse(gateway):
    with RawServer([whole({"choices": []})]) as server:
        gateway.add("lab", server.url, "m", active="m")
        answer = gateway.http().post(CHAT, json={"messages": PROMPT, "n": [1]})
    assert answer.status_code == 200
