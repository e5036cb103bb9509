"""Real chat templates, rendered as vLLM and transformers do, before and after `fit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models_app.providers.ollama_words import system_role_in
from runtime_app.gateway.entries import ModelEntry
from runtime_app.gateway.params import fit
from runtime_app.gateway.schemas import CHAT

FOLDER = Path(__file__).parents[1] / "templates_of_models"
GEMMA, PHI = "gemma-2b-it", "phi-3-mini-4k-instruct"
FIRST_PHI = "phi-3-mini-4k-instruct-first"
ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."

SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello!"}
WHY = {"role": "user", "content": "Why?"}


def config_of(model):
    return json.loads((FOLDER / f"{model}.json").read_text())


def render(model, messages):
    """transformers' `apply_chat_template(…, add_generation_prompt=True)`."""

    def raise_exception(words):
        raise TemplateError(words)

    config = config_of(model)
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(config.pop("chat_template"))
    return template.render(messages=messages, add_generation_prompt=True, **config)


def fitted(model, messages):
    """As the gateway sends them, knowing of the model what its template tells."""
    has_role = system_role_in(config_of(model)["chat_template"])
    entry = ModelEntry(supports_system_role=has_role)
    return fit({"messages": messages}, path=CHAT, kind="vllm", model=entry).fields[
        "messages"
    ]


@pytest.mark.parametrize(
    ("model", "has_role"), [(GEMMA, False), (PHI, True), (FIRST_PHI, False)]
)
def test_a_template_tells_whether_it_has_a_system_role(model, has_role):
    assert system_role_in(config_of(model)["chat_template"]) is has_role


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([SYSTEM, HI], "System role not supported"),
        ([HI, WHY], ALTERNATE),
        ([HI, HELLO, SYSTEM, WHY], ALTERNATE),
    ],
)
def test_gemma_refuses_what_was_not_fitted_and_takes_what_was(messages, complaint):
    with pytest.raises(TemplateError, match=complaint.replace(".", r"\.")):
        render(GEMMA, messages)

    prompt = render(GEMMA, fitted(GEMMA, messages))

    assert all(message["content"] in prompt for message in messages)


def test_gemma_reads_instructions_and_question_in_one_turn():
    prompt = render(GEMMA, fitted(GEMMA, [SYSTEM, HI, HELLO, WHY]))

    assert prompt == (
        "<bos><start_of_turn>user\n"
        "Instructions: Be brief.\n\nUser: Hi<end_of_turn>\n"
        "<start_of_turn>model\nHello!<end_of_turn>\n"
        "<start_of_turn>user\nWhy?<end_of_turn>\n"
        "<start_of_turn>model\n"
    )


def test_phi3_keeps_its_system_role_and_its_tokens():
    messages = [SYSTEM, HI, HELLO, WHY]

    assert fitted(PHI, messages) is messages
    assert render(PHI, messages) == (
        "<|system|>\nBe brief.<|end|>\n"
        "<|user|>\nHi<|end|>\n"
        "<|assistant|>\nHello!<|end|>\n"
        "<|user|>\nWhy?<|end|>\n"
        "<|assistant|>\n"
    )


def test_the_first_phi3_would_leave_the_instructions_out_without_a_word():
    messages = [SYSTEM, HI]

    assert "Be brief." not in render(FIRST_PHI, messages)
    assert render(FIRST_PHI, fitted(FIRST_PHI, messages)) == (
        "<s><|user|>\nInstructions: Be brief.\n\nUser: Hi<|end|>\n<|assistant|>\n"
    )
