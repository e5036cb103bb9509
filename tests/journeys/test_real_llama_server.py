"""A real llama.cpp behind Venom: vectors, a server that dies, clients that leave."""

import time

import openai
import pytest

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from history_app.recorder import recorder
from tests.fakes.waiting import wait_until
from tests.real.llama_server import RealLlamaServer

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.slow]

CHAT = "/v1/chat/completions"
MOST = 8000  # tokens, nearly its whole context: seconds, however fast the machine
# It answers so many at once (two slots, four threads more), /metrics is the sixth: with
# more clients the figures would wait behind their answers.
CLIENTS = 5
# A second after the last news of any request it looks whether clients of plain answers
# are still there. Figures are news too: asked for all the time, they keep it from it.
LOOK_SECONDS = 2
# So much for each token that their making takes longer than its looks are apart.
LONG = {
    "messages": [{"role": "user", "content": "Opowiedz"}],
    "max_tokens": MOST,
    "logprobs": True,
    "top_logprobs": 20,
}


@pytest.fixture
def start_llama(real_llama_server):
    """start_llama("--embeddings") → one of the test's own; asks for the session's
    because that one knows whether the packages are there."""
    started = []

    def start(*options: str) -> RealLlamaServer:
        server = RealLlamaServer(0, *options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def serve(gateway, server: RealLlamaServer) -> openai.OpenAI:
    gateway.add("llama", server.url, server.model, active=server.model)
    return gateway.openai()


def test_its_vectors_come_through_with_their_usage(gateway, start_llama):
    server = start_llama("--embeddings")
    asked = {"model": server.model, "input": ["żółw", "jaźń"]}
    through = serve(gateway, server).embeddings.create(**asked)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        direct = client.embeddings.create(**asked)
    assert [row.embedding for row in through.data] == [
        row.embedding for row in direct.data
    ]
    row = gateway.record()
    assert (row.status, row.path) == (RequestStatus.COMPLETED, "/v1/embeddings")
    assert row.input_tokens == through.usage.prompt_tokens > 0


def test_a_server_that_does_not_embed_says_so(gateway, real_llama_server):
    client = serve(gateway, real_llama_server)
    with pytest.raises(openai.InternalServerError, match="does not support embeddings"):
        client.embeddings.create(model=real_llama_server.model, input="x")
    assert gateway.record().http_status == 502


def test_a_server_killed_in_the_middle_is_a_cut_answer_and_then_offline(
    gateway, start_llama
):
    server = start_llama()
    client = serve(gateway, server)
    stream = client.chat.completions.create(model="auto", stream=True, **LONG)
    next(iter(stream))
    server.kill()
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "upstream_cut"
    row = gateway.record()
    assert (row.status, row.partial) == (RequestStatus.FAILED, True)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="auto", **LONG)
    assert caught.value.code == "upstream_offline"


@pytest.mark.parametrize("stream", [True, False])
def test_clients_that_leave_free_its_slots(gateway, real_llama_server, stream):
    server = real_llama_server
    serve(gateway, server)
    before = server.figure("tokens_predicted_total")
    asked = {**LONG, "stream": stream}
    clients = [gateway.raw(CHAT, asked) for _ in range(CLIENTS)]
    wait_until(lambda: server.figure("requests_deferred") > 0, seconds=30)
    for client in clients:
        client.close()
    wait_until(lambda: ended() == CLIENTS, seconds=30)
    wait_until(lambda: is_free(server), seconds=60)
    assert server.figure("tokens_predicted_total") - before < CLIENTS * MOST
    assert (
        RequestRecord.objects.filter(status=RequestStatus.CANCELLED).count()
        > CLIENTS / 2
    )


def is_free(server: RealLlamaServer) -> bool:
    time.sleep(LOOK_SECONDS)
    return not waiting_for(server)


def waiting_for(server: RealLlamaServer) -> float:
    return server.figure("requests_processing") + server.figure("requests_deferred")


def ended() -> int:
    recorder.flush()
    return RequestRecord.objects.exclude(finished_at=None).count()
