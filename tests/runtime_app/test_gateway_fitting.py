"""Requests that reach a server fitted to its model, as that server sees them."""

from __future__ import annotations

import pytest

from models_app.schemas.capabilities import CapabilitiesBody
from models_app.services.capabilities import set_capabilities
from runtime_app.gateway.app import app
from runtime_app.models import GenerationParameters, Runtime
from tests.factories import InstalledModelFactory
from tests.fakes.waiting import wait_until
from venom_site.lib.access import SYSTEM

MODEL = "gemma3:4b"
CHAT = "/v1/chat/completions"
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
]


@pytest.fixture
def ollama(gateway, practice_ollama):
    gateway.add("ollama", practice_ollama.url, MODEL, active=MODEL)
    return practice_ollama


def ask(gateway, **more):
    return gateway.openai().chat.completions.create(model=MODEL, messages=ASKED, **more)


def knows_no_system_role() -> bool:
    return app.snapshot.runtimes[0].model(MODEL).supports_system_role is False


def test_a_model_told_to_have_no_system_role_gets_none_within_a_moment(gateway, ollama):
    model = InstalledModelFactory(name=MODEL)
    set_capabilities(model, CapabilitiesBody(supports_system_role=False), actor=SYSTEM)
    wait_until(knows_no_system_role, seconds=2)

    ask(gateway)

    sent = ollama.state.last_bodies[CHAT]
    assert sent["messages"] == [
        {"role": "user", "content": "Instructions: Be brief.\n\nUser: Hi"}
    ]
    row = gateway.record()
    assert row.prompt_preview == "Be brief.\nHi"
    assert "no system role" in row.trace["notes"][0]


def test_stored_parameters_fill_what_a_stream_leaves_open(gateway, ollama):
    GenerationParameters.objects.create(
        runtime=Runtime.objects.get(),
        model_name=MODEL,
        params={"temperature": 0.2, "max_tokens": 4, "top_k": 7},
    )
    gateway.reload()

    chunks = list(ask(gateway, temperature=1.5, stream=True))

    sent = ollama.state.last_bodies[CHAT]
    assert sent == {
        "model": MODEL,
        "messages": ASKED,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 1.5,
        "max_tokens": 4,
    }
    assert chunks[-1].choices[0].finish_reason == "length"
    assert gateway.record().trace["notes"] == [
        "From the stored parameters: max_tokens 4.",
        "Not sent, the server does not know it: top_k.",
    ]


def test_an_untouched_request_leaves_no_note(gateway, ollama):
    ask(gateway)

    assert ollama.state.last_bodies[CHAT]["messages"] == ASKED
    assert gateway.record().trace["notes"] == []
