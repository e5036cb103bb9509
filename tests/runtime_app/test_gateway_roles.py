"""Messages for a model without a system role: as a table, and as promises. Pure."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from runtime_app.gateway.roles import SYSTEM_ROLES, without_system

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}


def system(content):
    return {"role": "system", "content": content}


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def text(words):
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        pytest.param(
            [system("Be brief."), user("Hi")],
            [user("Instructions: Be brief.\n\nUser: Hi")],
            id="the form of the contract",
        ),
        pytest.param(
            [{"role": "developer", "content": "Be brief."}, user("Hi")],
            [user("Instructions: Be brief.\n\nUser: Hi")],
            id="developer is the newer word for it",
        ),
        pytest.param(
            [system("One."), system("Two."), user("Hi")],
            [user("Instructions: One.\n\nTwo.\n\nUser: Hi")],
            id="several system messages",
        ),
        pytest.param(
            [user("Hi"), assistant("Hello"), system("Be brief."), user("Why?")],
            [
                user("Hi"),
                assistant("Hello"),
                user("Instructions: Be brief.\n\nUser: Why?"),
            ],
            id="in the middle",
        ),
        pytest.param(
            [user("Hi"), system("Be brief."), user("Why?")],
            [user("Hi\n\nInstructions: Be brief.\n\nUser: Why?")],
            id="between two questions",
        ),
        pytest.param(
            [user("Hi"), system("Be brief.")],
            [user("Hi\n\nInstructions: Be brief.")],
            id="at the end",
        ),
        pytest.param(
            [system("Be brief."), assistant("Hello"), user("Hi")],
            [user("Instructions: Be brief."), assistant("Hello"), user("Hi")],
            id="before a greeting",
        ),
        pytest.param(
            [system("Be brief.")], [user("Instructions: Be brief.")], id="only"
        ),
        pytest.param([system("")], [user("")], id="an empty one alone"),
        pytest.param([system(""), user("Hi")], [user("Hi")], id="an empty one"),
        pytest.param([system(None), user("Hi")], [user("Hi")], id="null"),
        pytest.param(
            [system("Look."), user([text("What is it?"), IMAGE])],
            [user([text("Instructions: Look.\n\nUser: What is it?"), IMAGE])],
            id="an image after the question",
        ),
        pytest.param(
            [system("Look."), user([IMAGE, text("What is it?")])],
            [user([text("Instructions: Look."), IMAGE, text("User: What is it?")])],
            id="an image before the question",
        ),
        pytest.param(
            [system("Look."), user([IMAGE])],
            [user([text("Instructions: Look."), IMAGE])],
            id="an image alone",
        ),
        pytest.param(
            [system([text("Compare with"), IMAGE]), user("Hi")],
            [user([text("Instructions: Compare with"), IMAGE, text("User: Hi")])],
            id="an image in the instructions",
        ),
        pytest.param(
            [user("One", name="anna"), user("Two", name="ben")],
            [user("One\n\nTwo", name="anna")],
            id="two questions in a row",
        ),
        pytest.param(
            [user("Hi"), assistant("One", refusal=None), assistant("Two")],
            [user("Hi"), assistant("One\n\nTwo", refusal=None)],
            id="two answers in a row",
        ),
        pytest.param(
            [
                system("Be brief."),
                user("Hi"),
                assistant(None, tool_calls=[CALL]),
                assistant(None, tool_calls=[CALL]),
                {"role": "tool", "tool_call_id": "call_1", "content": "7"},
                {"role": "tool", "tool_call_id": "call_1", "content": "8"},
            ],
            [
                user("Instructions: Be brief.\n\nUser: Hi"),
                assistant(None, tool_calls=[CALL]),
                assistant(None, tool_calls=[CALL]),
                {"role": "tool", "tool_call_id": "call_1", "content": "7"},
                {"role": "tool", "tool_call_id": "call_1", "content": "8"},
            ],
            id="calls of tools and their answers stay apart",
        ),
    ],
)
def test_the_system_role_goes_and_turns_alternate(messages, wanted):
    before = repr(messages)

    fitted, notes = without_system(messages)

    assert fitted == wanted
    assert notes
    assert repr(messages) == before  # another server may be asked with the same body


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([user("Hi"), assistant("Hello"), user("Why?")], id="in turns"),
        pytest.param([system("Be brief."), user(7)], id="contents of an odd type"),
        pytest.param([system("Be brief."), {"content": "Hi"}], id="no role"),
        pytest.param([system("Be brief."), {"role": [1]}], id="a role that is none"),
    ],
)
def test_what_needs_nothing_or_cannot_be_read_stays_as_it_is(messages):
    fitted, notes = without_system(messages)

    assert fitted is messages
    assert notes == []


def test_notes_say_what_was_done():
    _, notes = without_system([system("A"), user("B"), user("C")])

    assert [note.split(":")[1].strip() for note in notes] == [
        "the model has no system role.",
        "roles must alternate.",
    ]


def conversation(seed):
    """Any order of roles, strings and parts, and every text that stands in it."""
    choose = random.Random(seed)
    messages, texts = [], []
    for place in range(choose.randint(1, 8)):
        words = f"words{place}."
        role = choose.choice(["system", "developer", "user", "assistant", "tool"])
        content = choose.choice([words, [text(words)], [IMAGE, text(words)], [], None])
        texts += [words] if words in repr(content) else []
        messages.append({"role": role, "content": content})
    return messages, texts


def test_no_text_is_lost_no_order_changes_and_no_system_role_stays():
    for seed in range(300):
        messages, texts = conversation(seed)

        fitted, _ = without_system(messages)

        whole = repr(fitted)
        places = [whole.find(words) for words in texts]
        assert -1 not in places, (seed, fitted)
        assert places == sorted(places), (seed, fitted)
        assert whole.count("data:image") == repr(messages).count("data:image")
        turns = [message["role"] for message in fitted]
        assert not SYSTEM_ROLES & set(turns), (seed, fitted)
        in_a_row = {a for a, b in pairwise(turns) if a == b}
        assert in_a_row <= {"tool"}, (seed, fitted)
