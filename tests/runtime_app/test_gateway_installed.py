"""A request for a model that lies here and that no server lists: it is activated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from models_app.models import Operation
from models_app.services import claims
from runtime_app.gateway import snapshot as snapshot_module
from runtime_app.governance.fallback import FallbackPolicy
from runtime_app.services import activating
from tests.fakes.waiting import wait_until
from venom_site.lib.access import Scope

pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.switch_fixtures")
pytestmark = [pytest.mark.process, pytest.mark.slow]

CHAT = "/v1/chat/completions"
NAME = "acme/practice-7b"
ASKED = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def stopped(gateway, hub_model, monkeypatch):
    """The gateway of an installation whose vLLM does not run."""
    policy = FallbackPolicy(on_inactive="activate", hold_seconds=60)
    monkeypatch.setattr(snapshot_module, "present_policy", lambda: policy)
    hub_model(NAME)
    gateway.reload()
    return gateway


def requested() -> Operation | None:
    return Operation.objects.filter(operation_type="activate").first()


def test_a_stopped_vllm_is_started_with_the_model_that_was_asked_for(stopped):
    key = stopped.new_key("operator", Scope.INFERENCE, Scope.OPERATE)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(lambda: stopped.http(key).post(CHAT, json=ASKED, timeout=60))
        wait_until(requested, seconds=20)
        claims.carry_out(requested().pk, activating.perform_activation)
        answer = held.result(timeout=60)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-venom-model"] == NAME
    assert answer.headers["x-venom-reason"] == "RUNTIME_STARTING"
    assert requested().status == "completed", requested().error


def test_a_key_that_may_not_operate_starts_nothing(stopped):
    answer = stopped.http().post(CHAT, json=ASKED)

    assert (answer.status_code, answer.json()["error"]["code"]) == (
        403,
        "scope_missing",
    )
    assert requested() is None
