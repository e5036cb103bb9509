"""`?node=`: one machine of several, instead of the installation's default."""

import pytest

from models_app.models import Node
from runtime_app.choices import ActivationState
from runtime_app.models import Activation
from tests.factories import RuntimeFactory

pytestmark = pytest.mark.django_db

SERVERS = "/api/v1/system/llm-servers"
ACTIVE = f"{SERVERS}/active"


@pytest.fixture
def two_nodes(settings):
    """Ollama here with the default, vLLM on another machine with its own."""
    settings.RUNTIME_PROFILE = "full"
    for place, (name, server, model) in enumerate(
        [(settings.NODE, "ollama", "gemma3:4b"), ("gpu-2", "vllm", "qwen3-8b")]
    ):
        node, _is_new = Node.objects.get_or_create(name=name)
        runtime = RuntimeFactory(
            node=node, name=server, kind=server, last_model=model, served_models=[]
        )
        Activation.objects.create(
            node=node,
            runtime=runtime,
            model_name=model,
            served_name=model,
            state=ActivationState.ACTIVE,
            is_default=place == 0,
        )
    Node.objects.create(name="idle-3")


@pytest.mark.parametrize(
    ("query", "server", "model", "last"),
    [
        ("", "ollama", "gemma3:4b", {"ollama": "gemma3:4b", "vllm": "qwen3-8b"}),
        ("?node=", "ollama", "gemma3:4b", {"ollama": "gemma3:4b", "vllm": "qwen3-8b"}),
        ("?node={here}", "ollama", "gemma3:4b", {"ollama": "gemma3:4b"}),
        ("?node=gpu-2", "vllm", "qwen3-8b", {"vllm": "qwen3-8b"}),
        ("?node=idle-3", None, None, {}),
    ],
)
def test_what_is_active_on_a_machine(
    two_nodes, api_client, settings, query, server, model, last
):
    query = query.format(here=settings.NODE)
    answer = api_client("read").get(ACTIVE + query).json()
    assert (answer["active_server"], answer["active_model"]) == (server, model)
    assert answer["runtime"]["model"] == model
    assert answer["last_models"] == last


def test_a_machine_whose_server_the_profile_hides_has_nothing_active(
    two_nodes, api_client, settings
):
    settings.RUNTIME_PROFILE = "llm_off"
    answer = api_client("read").get(f"{ACTIVE}?node=gpu-2").json()
    assert answer["active_server"] is None


@pytest.mark.parametrize(
    ("query", "names"),
    [("", ["ollama", "vllm"]), ("?node=gpu-2", ["vllm"]), ("?node=idle-3", [])],
)
def test_the_servers_of_a_machine(two_nodes, api_client, query, names):
    answer = api_client("read").get(SERVERS + query).json()
    assert sorted(server["name"] for server in answer["servers"]) == names
    assert answer["count"] == len(names)


@pytest.mark.parametrize("path", [SERVERS, ACTIVE])
@pytest.mark.parametrize("name", ["nowhere", "x" * 64, "%00", "a'b"])
def test_a_machine_that_does_not_exist_is_a_bad_request(
    two_nodes, api_client, path, name
):
    answer = api_client("read").get(f"{path}?node={name}")
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "bad_request"
    assert [error["loc"] for error in body["errors"]] == ["query.node"]
