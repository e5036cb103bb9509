"""Tools and thoughts of the practice Ollama, for both official clients."""

import json
import re

import ollama
import openai
import pytest

pytest_plugins = ("tests.fakes.fixtures",)
QWEN = "qwen3:0.6b"  # thinks and uses tools
LLAMA = "llama3.2:3b"  # uses tools
HELLO = [{"role": "user", "content": "Jaka pogoda w Łodzi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"]},
            },
            "required": ["city"],
        },
    },
}
ARGUMENTS = {"city": "Łodzi", "days": 1, "unit": "celsius"}


@pytest.fixture(autouse=True)
def models(practice_ollama):
    practice_ollama.state.add_model(QWEN)
    practice_ollama.state.add_model(LLAMA)


@pytest.fixture
def native(practice_ollama):
    client = ollama.Client(host=practice_ollama.url)
    yield client
    client._client.close()


@pytest.fixture
def v1(practice_ollama):
    with openai.OpenAI(
        base_url=f"{practice_ollama.url}/v1", api_key="ignored", max_retries=0
    ) as client:
        yield client


def test_natively_the_arguments_are_an_object_and_the_reason_stays_stop(native):
    answer = native.chat(LLAMA, HELLO, tools=[WEATHER])
    [call] = answer.message.tool_calls
    assert call.function.name == "weather"
    assert call.function.arguments == ARGUMENTS
    assert (answer.done_reason, answer.message.content) == ("stop", "")
    assert answer.eval_count == 1


def test_the_native_call_has_an_id_and_an_index(practice_ollama, native):
    ask = {"model": LLAMA, "messages": HELLO, "tools": [WEATHER], "stream": False}
    [call] = native._client.post("/api/chat", json=ask).json()["message"]["tool_calls"]
    assert re.fullmatch(r"call_[0-9a-z]{8}", call["id"])
    assert call["function"]["index"] == 0


def test_a_native_stream_thinks_calls_and_ends(native):
    told = list(native.chat(QWEN, HELLO, tools=[WEATHER], stream=True))
    *thoughts, call, last = told
    assert all(chunk.message.thinking for chunk in thoughts)
    assert call.message.tool_calls[0].function.arguments == ARGUMENTS
    assert (last.done, last.done_reason) == (True, "stop")
    assert not last.message.tool_calls


def test_after_a_tools_result_it_answers_in_words(native):
    first = native.chat(LLAMA, HELLO, tools=[WEATHER]).message
    result = {"role": "tool", "tool_name": "weather", "content": "18 stopni"}
    answer = native.chat(LLAMA, [*HELLO, first, result], tools=[WEATHER]).message
    assert answer.content
    assert not answer.tool_calls


def test_on_v1_the_arguments_are_text_and_the_reason_is_tool_calls(v1):
    ask = {"model": LLAMA, "messages": HELLO, "tools": [WEATHER]}
    [choice] = v1.chat.completions.create(**ask).choices
    [call] = choice.message.tool_calls
    assert json.loads(call.function.arguments) == ARGUMENTS
    assert (call.type, choice.finish_reason) == ("function", "tool_calls")
    chunks = list(v1.chat.completions.create(**ask, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    [streamed] = chunks[0].choices[0].delta.tool_calls
    assert streamed.function.arguments == call.function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_model_without_tools_says_so_on_both_sides(native, v1):
    sentence = "registry.ollama.ai/library/phi3:mini does not support tools"
    ask = {"model": "phi3:mini", "messages": HELLO, "tools": [WEATHER]}
    with pytest.raises(ollama.ResponseError) as refused:
        native.chat(**ask)
    assert (refused.value.status_code, refused.value.error) == (400, sentence)
    with pytest.raises(openai.BadRequestError, match=sentence):
        v1.chat.completions.create(**ask)


@pytest.mark.parametrize(
    "tools", [[], ["weather"], [{}], [{"type": "function", "function": {}}]]
)
def test_tools_nobody_can_call_lead_to_words(native, tools):
    ask = {"model": LLAMA, "messages": HELLO, "tools": tools, "stream": False}
    answer = native._client.post("/api/chat", json=ask).json()
    assert answer["message"]["content"]
    assert "tool_calls" not in answer["message"]


def test_thoughts_come_apart_unless_switched_off(native):
    told = list(native.chat(QWEN, HELLO, stream=True))
    thoughts = [chunk for chunk in told if chunk.message.thinking]
    assert thoughts == told[: len(thoughts)]
    assert not thoughts[0].message.content
    assert native.generate(QWEN, "hej").thinking
    assert not native.chat(QWEN, HELLO, think=False).message.thinking
    assert native.chat(QWEN, HELLO, think="low").message.thinking


def test_thinking_is_refused_where_the_model_cannot(native):
    with pytest.raises(ollama.ResponseError) as refused:
        native.chat("gemma3:4b", HELLO, think=True)
    assert refused.value.error == '"gemma3:4b" does not support thinking'


def test_an_embedding_model_embeds_and_does_not_chat(native, practice_ollama):
    practice_ollama.state.add_model("nomic-embed-text")
    assert len(native.embed("nomic-embed-text", "kot").embeddings) == 1
    with pytest.raises(ollama.ResponseError) as refused:
        native.chat("nomic-embed-text", HELLO)
    assert refused.value.error == '"nomic-embed-text:latest" does not support chat'


def test_show_tells_capabilities_and_context(native):
    shown = native.show(QWEN)
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo["qwen3.context_length"] == 40_960
