"""With what servers are started: argv and environment from settings and model."""

from __future__ import annotations

import pytest

from models_app.services.machine import OLLAMA_PROFILES
from runtime_app.choices import ManagedBy, RuntimeKind
from runtime_app.runtimes.controls import ExternalControl, control_for
from runtime_app.runtimes.launches import (
    BadServerSetting,
    CommandMissing,
    ModelFolderMissing,
    ModelNeeded,
    kept,
    launch_for,
    was_launched,
)
from runtime_app.runtimes.ollama_settings import ollama_environment
from runtime_app.runtimes.server_settings import settings_of
from tests.factories import RuntimeFactory
from tests.runtime_app.own_servers import MODEL
from venom_site import env

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.runtime_app.own_server_fixtures",)


@pytest.fixture
def own_ollama(own_settings):
    own_settings(OLLAMA_COMMAND="true serve", OLLAMA_SYSTEMD_UNIT="absent.service")
    return RuntimeFactory(base_url="http://127.0.0.1:11434")


def after(argv, flag):
    return argv[argv.index(flag) + 1]


def test_vllm_gets_folder_name_address_and_settings(
    own_vllm, own_model, own_settings, folder
):
    own_settings(
        VLLM_COMMAND="true serve",
        VLLM_GPU_MEMORY_UTILIZATION=0.5,
        VLLM_MAX_MODEL_LEN=2048,
        VLLM_DTYPE="half",
        VLLM_EXTRA_ARGS="--enforce-eager --seed '7'",
    )

    launch = launch_for(own_vllm, own_model)

    assert launch.argv[0].endswith("/true")
    assert launch.argv[1:3] == ("serve", str(folder))
    assert after(launch.argv, "--served-model-name") == MODEL
    assert after(launch.argv, "--host") == "127.0.0.1"
    assert after(launch.argv, "--port") == str(own_vllm.port)
    assert after(launch.argv, "--gpu-memory-utilization") == "0.5"
    assert after(launch.argv, "--max-model-len") == "2048"
    assert after(launch.argv, "--dtype") == "half"
    assert launch.argv[-3:] == ("--enforce-eager", "--seed", "7")
    assert "--chat-template" not in launch.argv
    assert (launch.model, launch.served_name) == (str(folder), MODEL)
    assert launch.environment == {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}


def test_what_nobody_set_is_left_to_vllm(own_vllm, own_model):
    argv = launch_for(own_vllm, own_model).argv

    assert not {"--dtype", "--max-model-len", "--gpu-memory-utilization"} & set(argv)


def test_a_chat_template_beside_the_weights_is_handed_on(own_vllm, own_model, folder):
    (folder / "chat_template.jinja").write_text("{{ messages }}")

    argv = launch_for(own_vllm, own_model).argv

    assert after(argv, "--chat-template") == str(folder / "chat_template.jinja")


def test_the_old_entry_point_of_vllm_takes_its_model_as_an_option(
    own_vllm, own_model, own_settings, folder
):
    own_settings(VLLM_COMMAND="true -m vllm.entrypoints.openai.api_server")

    argv = launch_for(own_vllm, own_model).argv

    assert after(argv, "--model") == str(folder)


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ("--port 9000", "VLLM_ENDPOINT"),
        ("--served-model-name=other", "activate"),
        ("--max_model_len 10", "VLLM_MAX_MODEL_LEN"),
    ],
)
def test_nothing_is_said_twice(own_vllm, own_model, own_settings, extra, setting):
    own_settings(VLLM_EXTRA_ARGS=extra, VLLM_MAX_MODEL_LEN=2048)

    with pytest.raises(BadServerSetting, match=setting) as refused:
        launch_for(own_vllm, own_model)
    assert refused.value.extras["setting"] == "VLLM_EXTRA_ARGS"


def test_an_extra_argument_may_stand_for_a_setting_that_nobody_gave(
    own_vllm, own_model, own_settings
):
    own_settings(VLLM_EXTRA_ARGS="--dtype half")

    assert launch_for(own_vllm, own_model).argv[-2:] == ("--dtype", "half")


def test_what_is_missing_is_named_with_its_remedy(
    own_vllm, own_model, own_settings, folder
):
    with pytest.raises(ModelNeeded):
        launch_for(own_vllm, None)

    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderMissing, match=r"config\.json"):
        launch_for(own_vllm, own_model)

    own_model.path = "/nonexistent/model"
    with pytest.raises(ModelFolderMissing, match="/nonexistent/model"):
        launch_for(own_vllm, own_model)

    own_settings(VLLM_COMMAND="no-such-program serve")
    with pytest.raises(CommandMissing, match="VLLM_COMMAND"):
        launch_for(own_vllm, own_model)

    own_settings(VLLM_COMMAND="vllm 'serve")
    with pytest.raises(BadServerSetting, match="quote"):
        launch_for(own_vllm, own_model)


def test_a_launch_survives_the_row(own_vllm, own_model):
    launch = launch_for(own_vllm, own_model)
    own_vllm.launch = kept(launch)
    own_vllm.save()
    own_vllm.refresh_from_db()

    assert was_launched(own_vllm) == launch


@pytest.mark.parametrize(
    ("profile", "values"),
    [
        ("balanced-12-24gb", ("32768", "2", "256", "1", "q8_0", "30m")),
        ("low-vram-8-12gb", ("16384", "1", "128", "1", "q4_0", "20m")),
        ("max-context-24gb-plus", ("65536", "1", "128", "1", "q8_0", "45m")),
    ],
)
def test_a_profile_reaches_ollamas_own_environment(profile, values):
    made = ollama_environment(env.load({"VENOM_OLLAMA_PROFILE": profile}))

    assert tuple(made.values()) == values
    assert list(made) == [
        "OLLAMA_CONTEXT_LENGTH",
        "OLLAMA_NUM_PARALLEL",
        "OLLAMA_MAX_QUEUE",
        "OLLAMA_FLASH_ATTENTION",
        "OLLAMA_KV_CACHE_TYPE",
        "OLLAMA_KEEP_ALIVE",
    ]
    assert profile in OLLAMA_PROFILES


def test_a_single_value_wins_over_the_profile():
    made = ollama_environment(
        env.load(
            {
                "OLLAMA_CONTEXT_LENGTH": "8192",
                "OLLAMA_FLASH_ATTENTION": "false",
                "OLLAMA_KEEP_ALIVE": "-1",
                "OLLAMA_LOAD_TIMEOUT": "10m",
                "OLLAMA_NO_CLOUD": "true",
            }
        )
    )

    assert made["OLLAMA_CONTEXT_LENGTH"] == "8192"
    assert made["OLLAMA_FLASH_ATTENTION"] == "0"
    assert made["OLLAMA_KV_CACHE_TYPE"] == "f16"
    assert made["OLLAMA_KEEP_ALIVE"] == "-1"
    assert made["OLLAMA_LOAD_TIMEOUT"] == "10m"
    assert made["OLLAMA_NO_CLOUD"] == "1"
    assert made["OLLAMA_NUM_PARALLEL"] == "2"


def test_ollama_listens_where_its_row_says(own_ollama):
    launch = launch_for(own_ollama, None)

    assert launch.argv[1:] == ("serve",)
    assert launch.environment["OLLAMA_HOST"] == "127.0.0.1:11434"
    assert "OLLAMA_MODELS" not in launch.environment


def test_the_settings_of_ollama_say_where_they_come_from_and_what_it_uses(
    own_ollama, own_settings
):
    own_settings(OLLAMA_NUM_PARALLEL=4)
    own_ollama.pid, own_ollama.managed_by = 4711, ManagedBy.PROCESS
    own_ollama.launch = {"environment": {"OLLAMA_NUM_PARALLEL": "2"}}
    own_ollama.loaded_models = [{"name": "a:1b", "context_length": 16384}]

    found = {row.name: row for row in settings_of(own_ollama)}

    context = found["OLLAMA_CONTEXT_LENGTH"]
    assert (context.value, context.used) == ("32768", "16384")
    assert context.source == "profile balanced-12-24gb"
    parallel = found["OLLAMA_NUM_PARALLEL"]
    assert (parallel.value, parallel.source, parallel.used) == ("4", "environment", "2")
    assert found["OLLAMA_MAX_QUEUE"].used is None


def test_the_settings_of_vllm_show_what_its_process_was_started_with(
    own_vllm, own_model, own_settings
):
    own_settings(VLLM_DTYPE="half")
    own_vllm.launch = kept(launch_for(own_vllm, own_model))
    own_vllm.pid = 4711
    own_vllm.served_models = [{"name": MODEL, "context_length": 4096}]
    own_settings(VLLM_DTYPE="bfloat16")

    found = {row.name: row for row in settings_of(own_vllm)}

    assert found["VLLM_DTYPE"][1:] == ("bfloat16", "environment", "half")
    assert found["VLLM_MAX_MODEL_LEN"][1:] == ("", "default", "4096")
    assert found["VLLM_GPU_MEMORY_UTILIZATION"].used is None


@pytest.mark.parametrize(
    "address", ["http://10.255.255.1:8001/v1", "https://127.0.0.1:8001/v1"]
)
def test_a_server_elsewhere_is_only_asked(own_vllm, address):
    own_vllm.base_url = address

    control = control_for(own_vllm)

    assert control.managed_by == ManagedBy.EXTERNAL
    assert isinstance(control, ExternalControl)
    assert address in control.why


def test_without_its_command_a_server_is_only_asked(own_vllm, own_settings):
    assert control_for(own_vllm).managed_by == ManagedBy.PROCESS

    own_settings(VLLM_COMMAND="no-such-program serve")

    control = control_for(own_vllm)
    assert control.managed_by == ManagedBy.EXTERNAL
    assert control.supports == frozenset()


def test_a_server_added_by_hand_is_external(own_settings):
    row = RuntimeFactory(name="mine", kind=RuntimeKind.OPENAI_COMPATIBLE)

    assert control_for(row).managed_by == ManagedBy.EXTERNAL
