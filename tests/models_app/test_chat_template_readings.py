"""What templates tell of their models; strangers' ones do no harm while they do."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from models_app.providers.chat_templates import LONGEST_TEMPLATE, read_template
from models_app.reasons import NO_REASON
from tests.models_app import chat_templates as own
from venom_site.clients import chat_templates as wall

ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
)
FOLDER = Path(__file__).parents[1] / "templates_of_models"


def real(name):
    told = json.loads((FOLDER / f"{name}.json").read_text())
    return read_template(told.pop("chat_template"), special=told)


def test_gemma_refuses_a_system_message_in_its_own_words():
    reading = real("gemma-2b-it")

    assert reading.takes_system is False
    assert reading.refuses == "System role not supported"
    assert reading.must_alternate is True
    assert reading.roles == ("user", "assistant")
    assert (reading.tools, reading.thinking, reading.error) == (False, False, NO_REASON)


def test_phi3_takes_a_system_message_and_its_first_version_lost_it_silently():
    assert real("phi-3-mini-4k-instruct").roles == ("system", "user", "assistant")

    first = real("phi-3-mini-4k-instruct-first")

    assert (first.takes_system, first.refuses) == (False, "")
    assert first.roles == ("user", "assistant")


def test_a_system_message_folded_into_the_first_turn_counts_as_taken():
    reading = read_template(own.FOLDS_SYSTEM)

    assert reading.takes_system is True
    assert reading.must_alternate is True
    assert reading.tools is False
    assert "tool" not in reading.roles


def test_tools_and_thoughts_are_seen_where_they_come_out():
    reading = read_template(own.THINKS)

    assert (reading.tools, reading.thinking) == (True, True)
    assert reading.roles == ("system", "user", "assistant", "tool")
    assert reading.must_alternate is False


@pytest.mark.parametrize("template", [own.DATED, own.STRICT])
def test_dates_calls_and_strict_ids_are_served_as_transformers_serves_them(template):
    reading = read_template(template, special={"bos_token": "<s>", "eos_token": "</s>"})

    assert not reading.error
    assert reading.roles == ("system", "user", "assistant", "tool")
    assert (reading.tools, reading.thinking) == (True, False)


def test_templates_that_read_only_lists_of_parts_are_asked_with_parts():
    assert read_template(own.PARTS_ONLY).roles == ("system", "user", "assistant")


def test_the_tags_of_training_and_of_loop_control_are_known():
    reading = read_template(own.TRAINED)

    assert not reading.error
    assert "assistant" in reading.roles


def test_a_word_in_a_comment_is_no_thought():
    assert read_template("{# no <think> here #}" + own.CHATML).thinking is False
    assert read_template(own.CHATML + "{{ '<think>' }}").thinking is True


def test_of_several_templates_default_answers_and_tool_use_takes_tools():
    both = [
        {"name": "default", "template": own.CHATML},
        {"name": "tool_use", "template": own.THINKS},
    ]

    reading = read_template(both)

    assert reading.template == own.CHATML
    assert reading.tools is True
    assert reading.roles == ("system", "user", "assistant", "tool")
    assert read_template({"default": own.CHATML}).tools is False


@pytest.mark.parametrize(
    "template",
    [
        "",
        [],
        {},
        [{"name": "rag", "template": own.CHATML}],
        [None, 5, {"name": 3, "template": []}],
        {"default": None},
    ],
)
def test_without_a_template_for_questions_nothing_is_known(template):
    reading = read_template(template)

    assert reading.error.code == "template_absent"
    assert reading.takes_system is reading.tools is reading.thinking is None
    assert reading.roles == ()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{% foo %}", "unknown tag 'foo'"),
        ("{{ nobody.there.at_all }}", "undefined"),
        ("Hello", "leaves the question out"),
        ("{{ raise_exception('Never') }}", "Never"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|not safely callable"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nested too deeply"),
        ("{% if 1 %}" * 3000 + "{% endif %}" * 3000, "nested too deeply"),
        ("x" * (LONGEST_TEMPLATE + 1), "is longer than"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{% for a in range(99999) %}{{ 'a' * 99999 }}{% endfor %}", "writes more"),
        ("{% set x = 'a' * 10**10 %}", "too much memory"),
        ("{{ 'a' | center(10**10) }}", "too much memory"),
        ("{{ '%09999999999d' % 1 }}", "too much memory"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template, words):
    reading = read_template(template)

    assert any(word in str(reading.error) for word in words.split("|")), reading.error
    assert reading.roles == ()
    assert reading.takes_system is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{{ 9**(9**9) }}",  # inside one instruction, when it is compiled
        ENDLESS,
    ],
)
def test_a_template_without_end_is_ended(template):
    began = time.monotonic()

    reading = read_template(template)

    assert reading.error.code == "template_endless"
    assert time.monotonic() - began < wall.WALL_SECONDS + 30


@pytest.mark.slow
def test_what_was_not_reached_is_not_known_rather_than_denied():
    template = own.CHATML + "{% if messages[0].role == 'system' %}" + ENDLESS
    reading = read_template(template + "{% endif %}")

    assert "user" in reading.roles
    assert not reading.error
    assert reading.takes_system is reading.tools is None


def test_our_secrets_are_not_handed_to_the_process(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_practice_secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")

    assert wall.child_environment() == {"LD_LIBRARY_PATH": "/opt/python/lib"}


def test_characters_of_every_kind_come_back():
    special = {"bos_token": "<｜begin▁of▁sentence｜>"}

    [answer] = wall.render("{{ bos_token }}ąß😀{{ {'k': 'ż'} | tojson }}", [special])

    assert answer.text == '<｜begin▁of▁sentence｜>ąß😀{"k": "ż"}'


def test_each_case_has_its_own_answer():
    cases = [{"n": 1}, {"n": 0}, {"n": "x"}]

    answers = wall.render("{{ raise_exception('zero') if n == 0 else 2 / n }}", cases)

    assert [answer.text for answer in answers] == ["2.0", "", ""]
    assert answers[1].refused == "zero"
    assert "unsupported operand" in answers[2].error
