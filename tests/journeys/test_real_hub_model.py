"""From the hub to an answer of a real vLLM: installed, converted, switched, removed.

The hub is the practice hub; all else is real: the house with its worker, the vLLM of
`tests.real.vllm_rig`, and the example of a converter, run by the rig's Python.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.fakes.tiny_model import tiny_files
from tests.fakes.waiting import wait_until
from tests.real import vllm_rig
from tests.real.vllm_server import CONTEXT_LENGTH, DTYPE, QUIET, SMALL
from tests.running import ROOT, House
from tests.servers import free_port, session_of

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.slow]
pytest_plugins = ("tests.fakes.fixtures", "tests.real.fixtures")

MODELS = "/api/v1/models"
PLAIN, PICKLED = "practice/tiny-llama", "practice/real-pickles"
CONVERTER = ROOT / "scripts" / "llm" / "convert_to_safetensors.py"
START_SECONDS = 500  # twice 30 s where nothing else runs
TO_PICKLES = (
    "import sys, torch; from safetensors.torch import load_file; "
    "torch.save(load_file(sys.argv[1]), sys.argv[2])"
)


@pytest.fixture(scope="module")
def python(vllm_folder) -> str:
    return str(vllm_rig.python_of(vllm_folder))


@pytest.fixture
def hub(practice_hub, python, tmp_path):
    """The practice hub with one more repository: the tiny model as torch pickles it."""
    weights, pickles = tmp_path / "model.safetensors", tmp_path / "pytorch_model.bin"
    files = tiny_files()
    weights.write_bytes(files.pop("model.safetensors"))
    words = [python, "-c", TO_PICKLES, str(weights), str(pickles)]
    subprocess.run(words, check=True)
    files["pytorch_model.bin"] = pickles.read_bytes()
    practice_hub.state.shelf.put(PICKLED, files)
    return practice_hub


@pytest.fixture
def house(hub, python, tmp_path):
    quiet = [f"{name}={value}" for name, value in QUIET.items()]
    places = [f"{name}={tmp_path}" for name in ("TMPDIR", "VLLM_CACHE_ROOT")]
    server = [python, "-m", "vllm.entrypoints.openai.api_server"]
    convert = [python, str(CONVERTER), "{source}", "{target}", "{dtype}"]
    house = House()
    house.start_seconds = START_SECONDS
    house.environment |= {
        "VENOM_RUNTIME_PROFILE": "full",
        "HF_ENDPOINT": hub.url,
        "VLLM_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1",
        "VLLM_SYSTEMD_UNIT": "venom-practice-absent.service",
        "VLLM_COMMAND": shlex.join(["env", *quiet, *places, *server]),
        "VLLM_MAX_MODEL_LEN": CONTEXT_LENGTH,
        "VLLM_DTYPE": DTYPE,
        "VLLM_EXTRA_ARGS": shlex.join(SMALL),
        "VLLM_PREPARE_COMMAND": shlex.join([*convert, "{quantization}"]),
    }
    with house:
        yield house


@pytest.fixture
def client(house):
    with house.client("operate", "inference") as client:
        client.timeout = 60
        yield client


def told(client, pk):
    return client.get(f"{MODELS}/operations/{pk}").json()["operation"]


def carried_out(client, path, **body):
    """The operation that this call starts, once it has gone well."""
    answer = client.post(f"{MODELS}/{path}", json=body)
    assert answer.status_code == 202, answer.text
    pk = answer.json()["operation_id"]
    wait_until(lambda: told(client, pk)["completed_at"], seconds=START_SECONDS)
    ended = told(client, pk)
    assert ended["status"] == "completed", ended
    return ended


def asked(client, model):
    """What a chat through the gateway is answered, and who answered."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Opowiedz o żółwiu"}],
        "temperature": 0,
        "max_tokens": 12,
    }
    answer = client.post("/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    headers = answer.headers
    who = headers["X-Venom-Provider"], headers["X-Venom-Model"]
    return answer.json()["choices"][0]["message"]["content"], who


def versions(client, name):
    found = client.get(f"{MODELS}/{name}/versions").json()["versions"]
    return {each["revision"]: each["active"] for each in found}


def vllm_of(client):
    rows = client.get("/api/v1/system/llm-servers").json()["servers"]
    return next(row for row in rows if row["name"] == "vllm")


def folders_in(house):
    owner = Path(house.folder) / "models" / "hf" / "practice"
    return sorted(path.name.partition("@")[0] for path in owner.iterdir())


def test_models_of_the_hub_are_served_converted_switched_and_removed(house, client):
    carried_out(client, "install", provider="huggingface", name=PLAIN)
    carried_out(client, "activate", name=PLAIN, runtime="vllm")

    words, who = asked(client, "auto")
    assert words.strip()
    assert who == ("vllm", PLAIN)
    first = vllm_of(client)
    assert (first["status"], first["managed_by"]) == ("online", "process")
    busy = client.post(f"{MODELS}/remove", json={"name": PLAIN})
    assert (busy.status_code, busy.json()["code"]) == (409, "model_active")

    carried_out(client, "install", provider="huggingface", name=PICKLED)
    found = client.post(
        f"{MODELS}/prepare", json={"name": PICKLED, "runtime": "vllm"}
    ).json()
    assert found["action"] == "convert", found
    carried_out(client, "prepare", name=PICKLED, runtime="vllm", apply=True)
    [made] = [each for each in versions(client, PICKLED) if "-" in each]
    assert made.endswith("-safetensors")

    carried_out(client, "activate", name=PICKLED, runtime="vllm", revision=made)
    assert session_of(first["pid"]) == []
    again, who = asked(client, PICKLED)
    assert who == ("vllm", PICKLED)
    assert again == words, "the same weights answer another thing"
    assert versions(client, PICKLED)[made] is True

    carried_out(client, "remove", name=PLAIN)
    assert folders_in(house) == ["real-pickles", "real-pickles"]
