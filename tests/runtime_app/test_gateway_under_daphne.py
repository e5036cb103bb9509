"""What matters most of the gateway, served by daphne: a process without a lifespan."""

from __future__ import annotations

import time

import openai
import pytest
from django.db import connection

from history_app.models import RequestRecord
from runtime_app.choices import RuntimeStatus
from runtime_app.governance import keys
from runtime_app.governance.policy import bump_policy
from runtime_app.models import Runtime
from tests.fakes.waiting import wait_until
from tests.serving import DaphneProcess, Gateway, add_server
from tests.threads import in_thread
from venom_site.lib.access import SYSTEM, Scope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.slow,
]
MODEL = "gemma3:4b"
PROMPT = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"
# On a quiet machine it takes less than 50 ms; this one is busy with other tests.
LEAVING_SECONDS = 0.5
PLAIN = {"model": MODEL, "messages": PROMPT}
STREAM = PLAIN | {"stream": True}


def test_faults_fallbacks_waits_and_leaving_are_the_same_under_daphne(
    practice_ollama, practice_openai
):
    add_server("ollama", practice_ollama.url, MODEL, active=MODEL)
    add_server("lab", practice_openai.url, "practice-7b")
    practice_ollama.state.answer_tokens = 20
    _row, key = keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)
    connection.close()  # the other process may have to wait for it otherwise
    with DaphneProcess() as daphne:
        gateway = Gateway(daphne, key)
        another_server_answers(gateway, practice_ollama)
        a_cut_is_a_cut(gateway, practice_ollama)
        who_leaves_is_let_go(gateway, practice_ollama)
        who_waits_is_answered(gateway)
        gateway.close()
    row = RequestRecord.objects.order_by("-created_at").first()
    assert row.reason_code == "RUNTIME_STARTING"


def another_server_answers(gateway, ollama):
    for fault in ("status:404", "status:500", "cut_after_tokens:3"):
        ollama.state.faults.plan(CHAT, fault)
        answer = gateway.http().post(CHAT, json=PLAIN)
        assert answer.headers["x-venom-provider"] == "lab", answer.text
        assert answer.headers["x-venom-attempts"] == "2"
    ollama.state.faults.plan(CHAT, "status:429")
    forced = PLAIN | {"model": f"ollama/{MODEL}"}
    with pytest.raises(openai.RateLimitError):
        gateway.openai().chat.completions.create(**forced)


def a_cut_is_a_cut(gateway, ollama):
    ollama.state.faults.plan(CHAT, "cut_after_tokens:3")
    stream = gateway.openai().chat.completions.create(**STREAM)
    with pytest.raises(openai.APIError, match="before it was complete"):
        list(stream)


def who_leaves_is_let_go(gateway, ollama):
    for number, (body, fault) in enumerate(
        [
            (STREAM, "stall_before_first_byte"),
            (STREAM, "stall_mid_stream:3"),
            (PLAIN, "stall_before_first_byte"),
        ],
        start=1,
    ):
        ollama.state.faults.plan(CHAT, fault)
        with gateway.raw(CHAT, body):
            time.sleep(0.3)
            left_at = time.monotonic()
        wait_until(lambda n=number: ollama.state.cancelled == n, seconds=1)
        assert ollama.state.cancelled_at[-1] - left_at < LEAVING_SECONDS


def who_waits_is_answered(gateway):
    rows = Runtime.objects.filter(name="ollama")
    rows.update(status=RuntimeStatus.STARTING)
    bump_policy()
    time.sleep(1)  # the other process has seen it

    def start():
        time.sleep(0.5)
        rows.update(status=RuntimeStatus.ONLINE)
        bump_policy()

    starter = in_thread(start)
    answer = gateway.http().post(CHAT, json=PLAIN)
    starter.join()
    assert answer.headers["x-venom-provider"] == "ollama"
    assert answer.headers["x-venom-reason"] == "RUNTIME_STARTING"
