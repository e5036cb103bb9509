"""A real vLLM behind Venom, out of the rig of `tests.real.vllm_rig`."""

import openai
import pytest

from history_app.choices import RequestStatus
from models_app.choices import ProviderName
from models_app.schemas.capabilities import CapabilitiesBody
from models_app.services.capabilities import set_capabilities
from runtime_app.gateway.app import app
from runtime_app.models import GenerationParameters, Runtime
from tests.factories import InstalledModelFactory
from tests.fakes.waiting import wait_until
from tests.real.vllm_server import RealVllm
from venom_site.lib.access import SYSTEM

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.slow]

CHAT = "/v1/chat/completions"
MODEL = "tiny"
PROMPT = [{"role": "user", "content": "Opowiedz o żółwiu"}]
ASKED = {"model": MODEL, "messages": PROMPT, "temperature": 0, "max_tokens": 12}
# Ten seconds of work on two cores.
LONG = {"model": MODEL, "messages": PROMPT, "max_tokens": 400, "n": 64}


@pytest.fixture
def gateway(start_gateway, deadlines, settings):
    """In the profile that has vLLM, and with less patience for silence."""
    settings.RUNTIME_PROFILE = "full"
    deadlines(VENOM_STREAM_IDLE_SECONDS=15)
    return start_gateway()


@pytest.fixture
def open_door(gateway):
    """open_door(server) → a client of Venom with that vLLM active."""

    def serve(server) -> openai.OpenAI:
        gateway.add("vllm", server.url, MODEL, active=MODEL)
        return gateway.openai()

    return serve


@pytest.fixture
def client(open_door, real_vllm):
    return open_door(real_vllm)


def words_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_stream_is_the_plain_answer_in_pieces_and_counted_by_the_server(
    gateway, client
):
    plain = client.chat.completions.create(**ASKED)
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert words_of(chunks) == plain.choices[0].message.content
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    row = gateway.record(stream=True)
    assert (row.status, row.llm_provider) == (RequestStatus.COMPLETED, "vllm")
    assert (row.input_tokens, row.output_tokens) == (plain.usage.prompt_tokens, 12)
    assert row.usage_estimated is False
    assert 0 < row.ttft_seconds < row.duration_seconds


def test_completions_and_models_come_through(client):
    asked = {"model": MODEL, "prompt": "Opowiedz", "temperature": 0, "max_tokens": 6}
    plain = client.completions.create(**asked)
    chunks = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == plain.choices[0].text
    assert [model.id for model in client.models.list()] == [MODEL]


def test_a_system_role_that_its_template_refuses_is_fitted(gateway, client):
    messages = [{"role": "system", "content": "Mów krótko."}, *PROMPT, *PROMPT]
    with pytest.raises(openai.BadRequestError, match="System role not supported"):
        client.chat.completions.create(**{**ASKED, "messages": messages})
    model = InstalledModelFactory(
        name=MODEL,
        provider=ProviderName.HUGGINGFACE,
        node=Runtime.objects.get(name="vllm").node,
    )
    set_capabilities(model, CapabilitiesBody(supports_system_role=False), actor=SYSTEM)
    wait_until(
        lambda: app.snapshot.active.runtime.model(MODEL).supports_system_role is False
    )
    answer = client.chat.completions.create(**{**ASKED, "messages": messages})
    assert answer.choices[0].message.content
    notes = gateway.record(status=RequestStatus.COMPLETED).trace["notes"]
    assert "no system role" in notes[0]


def test_stored_parameters_reach_it_by_its_own_names(gateway, client):
    GenerationParameters.objects.create(
        runtime=Runtime.objects.get(name="vllm"),
        model_name=MODEL,
        params={"max_tokens": 5, "top_k": 3, "repeat_penalty": 1.9},
    )
    gateway.reload()
    answer = client.chat.completions.create(model=MODEL, messages=PROMPT)
    words = answer.choices[0].message.content.split()
    assert answer.usage.completion_tokens == 5
    assert len(set(words)) == len(words), "repetition_penalty was not heard"


def test_what_it_finds_wrong_with_a_request_is_told_in_its_words(gateway, client):
    with pytest.raises(openai.BadRequestError, match="max_model_len=512"):
        client.chat.completions.create(**{**ASKED, "max_tokens": 100_000})
    row = gateway.record()
    assert (row.status, row.error_code) == (RequestStatus.FAILED, "bad_request")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_work(gateway, client, real_vllm, stream):
    with gateway.raw(CHAT, {**LONG, "stream": stream}):
        wait_until(lambda: real_vllm.at_work() > 8, seconds=20)
    wait_until(lambda: real_vllm.at_work() == 0, seconds=1)
    row = gateway.record()
    assert (row.status, row.partial) == (RequestStatus.CANCELLED, stream)


@pytest.mark.parametrize(
    ("end", "codes"),
    [
        # Asked to stop it ends its streams with `[DONE]`, as if they were whole; with a
        # busy engine, which it kills, in an error of its own or in silence.
        (
            RealVllm.terminate,
            {"upstream_aborted", "upstream_error", "upstream_timeout"},
        ),
        (RealVllm.kill, {"upstream_cut"}),
    ],
    ids=["terminate", "kill"],
)
def test_one_that_is_stopped_in_the_middle_is_an_error_event(
    gateway, open_door, start_vllm, end, codes
):
    server = start_vllm()
    client = open_door(server)
    stream = client.chat.completions.create(
        model=MODEL, messages=PROMPT, max_tokens=480, stream=True
    )
    next(iter(stream))
    end(server)
    with pytest.raises(openai.APIError):
        list(stream)
    row = gateway.record()
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)
    assert row.error_code in codes
