"""A trial of real servers: what they do is what the evidence says."""

from __future__ import annotations

import pytest

from models_app.services import operations
from runtime_app import tasks
from runtime_app.choices import RuntimeKind
from runtime_app.models import Runtime, Trial
from runtime_app.monitoring import health
from runtime_app.runtimes import registry
from runtime_app.services import trials
from tests.factories import RuntimeFactory

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture(autouse=True)
def _no_kept_connections():
    yield
    registry.close_all()


def row_of(server) -> Runtime:
    RuntimeFactory(
        name="real",
        display_name="real",
        kind=RuntimeKind.OPENAI_COMPATIBLE,
        base_url=f"{server.url}/v1",
    )
    return health.check_runtime(Runtime.objects.select_related("node").get(name="real"))


def evidence(runtime: Runtime, actor) -> dict[str, dict]:
    model = runtime.served_models[0]["name"]
    wanted = trials.request_trial(model, runtime=runtime.name, actor=actor)
    tasks.run_trial(str(wanted.pk))
    done = operations.get_operation(wanted.pk)
    assert done.status == "completed", done.error
    return {check["name"]: check for check in Trial.objects.get().checks}


def test_llama_cpp_is_timed_writes_json_and_calls_no_tool(real_llama_server, actor):
    found = evidence(row_of(real_llama_server), actor)

    assert found["first_token"]["ok"] is True
    assert found["speed"]["ok"] is True, found
    assert found["system_role"]["ok"] is True  # folded into the user's turn
    assert found["json_mode"]["ok"] is not False, found
    assert found["tool_call"]["ok"] is not True, found
    assert Trial.objects.get().output_tokens_per_second > 0


def test_vllm_says_itself_what_it_refuses(start_vllm, actor):
    found = evidence(row_of(start_vllm()), actor)

    assert found["first_token"]["ok"] is True
    assert found["speed"]["ok"] is True, found
    assert found["system_role"]["ok"] is False
    assert "System role not supported" in found["system_role"]["words"]
    assert found["tool_call"]["ok"] is False
    assert "tool" in found["tool_call"]["words"]
