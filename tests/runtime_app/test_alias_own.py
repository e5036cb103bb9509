"""The alias guard and a vLLM of our own that publishes another name than it should."""

from __future__ import annotations

import pytest

from models_app.services.operations import get_operation
from runtime_app.models import Alert, Runtime
from runtime_app.monitoring import health
from runtime_app.runtimes import launches
from runtime_app.runtimes.control import Launch
from runtime_app.runtimes.controls import control_for
from runtime_app.runtimes.registry import adapter_for
from runtime_app.services.active import active_payload
from runtime_app.services.server_rows import note, process_fields
from tests.fakes.waiting import wait_until
from tests.runtime_app.switches import activated, carry_out, fresh

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
pytest_plugins = ("tests.fakes.fixtures", "tests.runtime_app.switch_fixtures")

MODEL, OLD = "acme/good-7b", "good-7b-of-old"
REPAIR = "/api/v1/system/llm-servers/vllm/repair"


def served(vllm) -> list[str]:
    return [entry["name"] for entry in adapter_for(vllm).list_models()]


def look() -> Runtime:
    health.check_node()
    return Runtime.objects.select_related("node").get(name="vllm")


@pytest.fixture
def renamed(vllm, hub_model, actor):
    """Ours runs, from the right folder and under a name of former days."""
    hub_model(MODEL)
    assert activated(vllm, MODEL, actor).status == "completed"
    row = fresh(vllm)
    right = launches.was_launched(row)
    words = [OLD if word == MODEL else word for word in right.argv]
    wrong = Launch(
        argv=tuple(words),
        environment=right.environment,
        model=right.model,
        served_name=OLD,
    )
    control_for(row).stop(grace_seconds=3, check=lambda: None)
    note(row, process="")
    seen = control_for(fresh(row)).start(wrong)
    note(row, launch=launches.kept(wrong), **process_fields(seen))
    wait_until(lambda: not adapter_for(row).observe().is_failure, seconds=60)
    return fresh(row)


def test_one_call_starts_ours_again_under_the_name_that_was_configured(
    renamed, api_client
):
    assert served(renamed) == [OLD]
    look()
    row = look()
    assert (row.names["repair"], row.names["target"]) == ("activate", MODEL)
    assert "that starts it under this name" in row.names["sentence"]
    assert active_payload()["alias_ok"] is False
    assert Alert.objects.open().get().code == "alias_mismatch"

    answer = api_client("operate").post(REPAIR)

    assert answer.status_code == 202, answer.content
    operation = carry_out(get_operation(answer.json()["operation_id"]))
    assert operation.status == "completed", operation.error
    assert {"draining", "stopping", "starting"} <= set(operation.checkpoint["steps"])
    assert served(renamed) == [MODEL]
    row = look()
    assert row.pid != renamed.pid
    position = row.launch["argv"].index("--served-model-name")
    assert row.launch["argv"][position + 1] == MODEL
    assert row.names["ok"] is True
    assert active_payload()["alias_ok"] is True
    assert not Alert.objects.open().exists()


def test_one_that_is_not_ours_is_called_by_its_own_name_and_not_stopped(
    renamed, api_client, tmp_path
):
    """The same process, as if somebody else had started it."""
    pid = renamed.pid
    (tmp_path / "runtimes" / "vllm.process").unlink()  # by which ours is known
    Runtime.objects.filter(pk=renamed.pk).update(process="", wish="stopped", launch={})
    look()
    row = look()
    assert row.managed_by == "external"
    assert row.names["is_mismatch"] is True
    try:
        answer = api_client("operate").post(REPAIR)

        assert answer.status_code == 202, answer.content
        operation = carry_out(get_operation(answer.json()["operation_id"]))
        assert operation.status == "completed", operation.error
        assert operation.model_name == OLD, "its own name for the same folder"
        assert "stopping" not in operation.checkpoint["steps"]
        assert look().names["ok"] is True
        assert served(row) == [OLD]
        assert control_for(renamed).look().pid == pid
    finally:
        control_for(renamed).stop(grace_seconds=3, check=lambda: None)
