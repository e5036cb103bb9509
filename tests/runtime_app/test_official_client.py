"""The official OpenAI client through Venom: whatever it can do against OpenAI itself.

Each answer is compared with what the client gets from the server directly.
"""

import openai
import pytest

from history_app.choices import RequestStatus
from history_app.models import RequestRecord
from tests.fakes.waiting import wait_until
from venom_site.lib.access import Scope

PROMPT = [{"role": "user", "content": "Zażółć gęślą jaźń — 你好 🐢"}]
CHAT = "/v1/chat/completions"
SERVERS = [
    ("ollama", "practice_ollama", "gemma3:4b"),
    ("lab", "practice_openai", "practice-7b"),
]


class Beside:
    """A server, and a client of it beside one of the gateway."""

    def __init__(self, gateway, name: str, server, model: str) -> None:
        gateway.add(name, server.url, model, active=model)
        self.gateway, self.server, self.model = gateway, server, model
        self.client = gateway.openai()
        self.direct = openai.OpenAI(
            base_url=f"{server.url}/v1", api_key="none", max_retries=0
        )

    def asked(self, path: str = CHAT) -> int:
        return self.server.state.requests[path]

    def break_next(self, fault: str, times: int = 1) -> None:
        self.server.state.faults.plan(CHAT, fault, times=times)


@pytest.fixture(params=SERVERS, ids=[name for name, *_ in SERVERS])
def beside(request, gateway):
    name, server, model = request.param
    found = Beside(gateway, name, request.getfixturevalue(server), model)
    yield found
    found.direct.close()


@pytest.fixture
def lab(gateway, practice_openai):
    found = Beside(gateway, "lab", practice_openai, "practice-7b")
    yield found
    found.direct.close()


def words_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_the_plain_answer_in_pieces(beside, wants_usage):
    asked = {"model": beside.model, "messages": PROMPT}
    plain = beside.direct.chat.completions.create(**asked)
    more = {"stream_options": {"include_usage": True}} if wants_usage else {}
    *told, last = beside.client.chat.completions.create(**asked, stream=True, **more)
    if wants_usage:
        assert (last.choices, last.usage) == ([], plain.usage)
    else:
        told.append(last)
    assert words_of(told) == plain.choices[0].message.content
    assert told[-1].choices[0].finish_reason == "stop"


def test_the_stream_helper_collects_the_whole_answer(beside):
    plain = beside.direct.chat.completions.create(model=beside.model, messages=PROMPT)
    with beside.client.chat.completions.stream(
        model=beside.model, messages=PROMPT
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == plain.choices[0].message.content


def test_completions_come_plain_and_streamed(beside):
    asked = {"model": beside.model, "prompt": "Zażółć gęślą jaźń"}
    plain = beside.direct.completions.create(**asked)
    assert beside.client.completions.create(**asked).choices[0].text
    chunks = beside.client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == plain.choices[0].text


def test_embeddings_are_those_of_the_server(beside):
    asked = {"model": beside.model, "input": ["żółw", "jaźń"]}
    through = beside.client.embeddings.create(**asked)
    direct = beside.direct.embeddings.create(**asked)
    assert [row.embedding for row in through.data] == [
        row.embedding for row in direct.data
    ]
    assert through.usage == direct.usage
    row = beside.gateway.record(path="/v1/embeddings")
    assert (row.status, row.input_tokens) == (
        RequestStatus.COMPLETED,
        through.usage.prompt_tokens,
    )


def test_the_models_are_listed_and_one_is_found(beside):
    assert [model.id for model in beside.client.models.list()] == [beside.model]
    assert beside.client.models.retrieve(beside.model).id == beside.model
    with pytest.raises(openai.NotFoundError):
        beside.client.models.retrieve("nobody")


async def test_the_async_client_asks_and_streams(beside):
    async with openai.AsyncOpenAI(
        base_url=f"{beside.gateway.url}/v1", api_key=beside.gateway.key, max_retries=0
    ) as client:
        asked = {"model": beside.model, "messages": PROMPT}
        plain = await client.chat.completions.create(**asked)
        stream = await client.chat.completions.create(**asked, stream=True)
        told = words_of([chunk async for chunk in stream])
        assert told == plain.choices[0].message.content
        assert [m.id async for m in client.models.list()] == [beside.model]


# What goes wrong, in the client's own exceptions


def test_a_key_of_nobody_is_an_authentication_error(lab):
    for key in ("sk-proj-0123456789", "venom_" + "B" * 43):
        with pytest.raises(openai.AuthenticationError) as caught:
            lab.gateway.openai(key).chat.completions.create(
                model="auto", messages=PROMPT
            )
        assert caught.value.code == "invalid_api_key"


def test_a_key_without_the_scope_is_a_permission_error(lab):
    client = lab.gateway.openai(lab.gateway.new_key("reader", Scope.READ))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.embeddings.create(model="auto", input="x")
    assert caught.value.code == "scope_missing"


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model_not_found"),
        ({"messages": []}, openai.BadRequestError, "empty_array"),
        ({"messages": "hello"}, openai.BadRequestError, "invalid_type"),
        ({"max_tokens": 100_000}, openai.BadRequestError, "400"),
    ],
)
def test_a_mistake_of_the_caller_is_its_exception(lab, given, kind, code):
    asked = {"model": lab.model, "messages": PROMPT, **given}
    with pytest.raises(kind) as caught:
        lab.client.chat.completions.create(**asked)
    assert caught.value.code == code


def test_a_model_that_is_not_active_is_a_conflict(gateway, lab):
    lab.server.state.add_model("another")
    gateway.add("spare", lab.server.url, "another")
    with pytest.raises(openai.ConflictError) as caught:
        lab.client.chat.completions.create(model="another", messages=PROMPT)
    assert caught.value.code == "model_not_active"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        ("status:401", openai.InternalServerError, 502, "upstream_auth"),
        ("status:404", openai.NotFoundError, 404, "model_not_found"),
        ("status:408", openai.InternalServerError, 504, "upstream_timeout"),
        ("status:429", openai.RateLimitError, 429, "upstream_overloaded"),
        ("status:500", openai.InternalServerError, 502, "upstream_error"),
        ("garbage", openai.InternalServerError, 502, "upstream_malformed"),
    ],
)
def test_a_failing_server_is_its_exception(beside, fault, kind, status, code, stream):
    beside.break_next(fault)
    with pytest.raises(kind) as caught:
        beside.client.chat.completions.create(
            model=beside.model, messages=PROMPT, stream=stream
        )
    assert isinstance(caught.value, openai.APIStatusError)
    assert (caught.value.status_code, caught.value.code) == (status, code)


@pytest.mark.parametrize("fault", ["cut_after_tokens:3", "cut_mid_line:3"])
def test_a_stream_that_is_cut_raises_after_what_came(beside, fault):
    beside.server.state.answer_tokens = 20
    beside.break_next(fault)
    stream = beside.client.chat.completions.create(
        model=beside.model, messages=PROMPT, stream=True
    )
    told = []
    with pytest.raises(openai.APIError) as caught:
        told.extend(stream)
    assert caught.value.code == "upstream_cut"
    assert beside.gateway.record().partial


async def test_the_async_client_raises_on_a_cut_stream(lab):
    lab.server.state.answer_tokens = 20
    lab.break_next("cut_after_tokens:3")
    async with openai.AsyncOpenAI(
        base_url=f"{lab.gateway.url}/v1", api_key=lab.gateway.key
    ) as client:
        stream = await client.chat.completions.create(
            model=lab.model, messages=PROMPT, stream=True
        )
        with pytest.raises(openai.APIError) as caught:
            async for _chunk in stream:
                pass
    assert caught.value.code == "upstream_cut"


def test_a_gateway_that_is_gone_is_a_connection_error(lab):
    lab.gateway.server.ask_to_stop()
    wait_until(lambda: _is_gone(lab.client))


def _is_gone(client: openai.OpenAI) -> bool:
    try:
        client.models.list()
    except openai.APIConnectionError:
        return True
    return False


def test_a_client_that_loses_patience_stops_the_server(lab):
    lab.break_next("stall_before_first_byte")
    with pytest.raises(openai.APITimeoutError):
        lab.client.with_options(timeout=0.3).chat.completions.create(
            model=lab.model, messages=PROMPT
        )
    wait_until(lambda: lab.server.state.cancelled == 1, seconds=1)
    assert lab.gateway.record().status == RequestStatus.CANCELLED


def test_a_stream_that_is_closed_stops_the_server(lab):
    lab.server.state.tokens_per_second = 20
    lab.server.state.answer_tokens = 500
    stream = lab.client.chat.completions.create(
        model=lab.model, messages=PROMPT, stream=True
    )
    next(iter(stream))
    stream.close()
    wait_until(lambda: lab.server.state.cancelled == 1, seconds=1)
    row = lab.gateway.record()
    assert (row.status, row.partial) == (RequestStatus.CANCELLED, True)


# Asking again, which the client does by itself


@pytest.fixture
def patient(lab):
    """As a client is by default: up to two repetitions."""
    return lab.client.with_options(max_retries=2)


@pytest.mark.parametrize("fault", ["status:429", "status:500", "cut_after_tokens:3"])
def test_a_failure_that_may_pass_is_repeated_until_it_has(lab, patient, fault):
    lab.break_next(fault)
    answer = patient.chat.completions.create(model=lab.model, messages=PROMPT)
    assert answer.choices[0].message.content
    assert lab.asked() == 2
    assert lab.gateway.record(status=RequestStatus.COMPLETED)
    assert lab.gateway.record(status=RequestStatus.FAILED).error_retryable is True
    assert RequestRecord.objects.count() == 2


@pytest.mark.parametrize("fault", ["status:401", "status:403", "status:404"])
def test_a_failure_that_stays_is_not_repeated(lab, patient, fault):
    lab.break_next(fault, times=0)
    with pytest.raises(openai.APIStatusError):
        patient.chat.completions.create(model=lab.model, messages=PROMPT)
    assert lab.asked() == 1
    assert lab.gateway.record().error_retryable is False
    assert RequestRecord.objects.count() == 1


def test_a_refusal_of_the_gateway_is_not_repeated(gateway, lab, patient):
    lab.server.state.add_model("another")
    gateway.add("spare", lab.server.url, "another")
    with pytest.raises(openai.ConflictError):
        patient.chat.completions.create(model="another", messages=PROMPT)
    gateway.record()
    assert RequestRecord.objects.count() == 1


def test_a_stream_that_is_cut_is_not_asked_for_again(lab, patient):
    lab.server.state.answer_tokens = 20
    lab.break_next("cut_after_tokens:3")
    with pytest.raises(openai.APIError):
        list(
            patient.chat.completions.create(
                model=lab.model, messages=PROMPT, stream=True
            )
        )
    assert lab.asked() == 1


def test_an_answer_that_takes_too_long_is_not_worked_on_again(
    start_gateway, deadlines, practice_openai
):
    """It would take as long again: the server would work three times for nothing."""
    deadlines(VENOM_TOTAL_SECONDS=0.5)
    lab = Beside(start_gateway(), "lab", practice_openai, "practice-7b")
    lab.break_next("slow_headers:5", times=0)
    with pytest.raises(openai.InternalServerError) as caught:
        lab.client.with_options(max_retries=2).chat.completions.create(
            model=lab.model, messages=PROMPT
        )
    lab.direct.close()
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")
    assert lab.asked() == 1
