"""`fit` as a table: whose value wins, what each server calls it, what is left out."""

from __future__ import annotations

import pytest

from runtime_app.choices import RuntimeKind
from runtime_app.gateway.entries import ModelEntry
from runtime_app.gateway.params import fit
from runtime_app.gateway.schemas import CHAT, COMPLETIONS, EMBEDDINGS
from runtime_app.runtimes.generation import PARAMETERS, WIRE_NAMES

OLLAMA, VLLM, SERVER = "ollama", "vllm", "openai_compatible"
ALL = {
    "temperature": 0.2,
    "max_tokens": 512,
    "top_p": 0.8,
    "top_k": 30,
    "repeat_penalty": 1.2,
}
SYSTEM = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
]
USER = [{"role": "user", "content": "Hi"}]
LIMIT = {"max_completion_tokens": 9}


def chat(kind=SERVER, stored=None, **fields):
    """What the request became beside its messages, and the notes."""
    model = ModelEntry(params=stored or {})
    fitted = fit({"messages": USER, **fields}, path=CHAT, kind=kind, model=model)
    assert fitted.fields.pop("messages") == USER
    return fitted.fields, fitted.notes


@pytest.mark.parametrize(
    ("kind", "asked", "stored", "sent"),
    [
        pytest.param(VLLM, {}, {"temperature": 0}, {"temperature": 0}, id="stored"),
        pytest.param(
            VLLM,
            {"temperature": 1},
            {"temperature": 0.2, "top_k": 30},
            {"temperature": 1, "top_k": 30},
            id="what was asked for wins",
        ),
        pytest.param(
            VLLM, {"top_p": None}, {"top_p": 0.8}, {"top_p": 0.8}, id="null is open"
        ),
        pytest.param(
            VLLM,
            {"repetition_penalty": 1.5},
            {"repeat_penalty": 1.2},
            {"repetition_penalty": 1.5},
            id="the server's own name for it wins",
        ),
        pytest.param(
            VLLM,
            {"repeat_penalty": 1.5},
            {"repeat_penalty": 1.2},
            {"repetition_penalty": 1.5},
            id="our name wins over what is stored",
        ),
        pytest.param(
            VLLM,
            {"repeat_penalty": 1.5, "repetition_penalty": 1.6},
            {},
            {"repetition_penalty": 1.6},
            id="both names",
        ),
        pytest.param(VLLM, LIMIT, {"max_tokens": 512}, LIMIT, id="another limit"),
        pytest.param(
            SERVER,
            {"repeat_penalty": 1.5, "min_p": 0.1},
            {"top_k": 30},
            {"repeat_penalty": 1.5, "min_p": 0.1, "top_k": 30},
            id="llama-server knows ours",
        ),
        pytest.param(OLLAMA, LIMIT, {}, {"max_tokens": 9}, id="the limit Ollama reads"),
        pytest.param(
            OLLAMA,
            LIMIT,
            {"max_tokens": 512},
            {"max_tokens": 9},
            id="and it wins over what is stored",
        ),
        pytest.param(
            OLLAMA,
            {**LIMIT, "max_tokens": 8},
            {},
            {**LIMIT, "max_tokens": 8},
            id="two limits",
        ),
        pytest.param(
            OLLAMA,
            {"top_k": 5, "repeat_penalty": 1.3, "min_p": 0.1},
            {},
            {"min_p": 0.1},
            id="Ollama knows neither, and unknown fields pass through",
        ),
        pytest.param(
            OLLAMA, {"top_k": None}, {}, {"top_k": None}, id="null is nothing to drop"
        ),
    ],
)
def test_the_request_wins_over_what_is_stored(kind, asked, stored, sent):
    fields, _ = chat(kind, stored, **asked)

    assert fields == sent


@pytest.mark.parametrize(
    ("kind", "sent", "dropped"),
    [
        (OLLAMA, {"temperature", "max_tokens", "top_p"}, "top_k, repeat_penalty"),
        (VLLM, (ALL.keys() - {"repeat_penalty"}) | {"repetition_penalty"}, ""),
        (SERVER, set(ALL), ""),
    ],
)
def test_each_kind_of_server_gets_its_own_names(kind, sent, dropped):
    fields, notes = chat(kind, ALL)

    assert set(fields) == sent
    assert notes[0].startswith("From the stored parameters: temperature 0.2, ")
    assert notes[1:] == (
        (f"Not sent, the server does not know it: {dropped}.",) if dropped else ()
    )


def test_a_drop_that_was_both_asked_for_and_stored_is_told_once():
    _, notes = chat(OLLAMA, {"top_k": 30}, top_k=5)

    assert notes == ("Not sent, the server does not know it: top_k.",)


def test_a_name_that_changed_is_told():
    _, notes = chat(VLLM, repeat_penalty=1.1)
    _, of_ollama = chat(OLLAMA, max_completion_tokens=9)

    told = "Sent under the server's own name: "
    assert notes == (f"{told}repeat_penalty as repetition_penalty.",)
    assert of_ollama == (f"{told}max_completion_tokens as max_tokens.",)


def test_every_kind_of_server_has_its_names():
    assert set(WIRE_NAMES) == set(RuntimeKind.values)
    ours = {parameter.name for parameter in PARAMETERS}
    assert all(set(names) <= ours for names in WIRE_NAMES.values())


@pytest.mark.parametrize("kind", RuntimeKind.values)
@pytest.mark.parametrize(
    ("path", "fields", "model"),
    [
        (CHAT, {"messages": SYSTEM, "temperature": 1}, ModelEntry()),
        (CHAT, {"messages": SYSTEM}, ModelEntry(supports_system_role=True)),
        (CHAT, {"messages": USER}, ModelEntry(supports_system_role=False)),
        (CHAT, {"messages": USER}, ModelEntry(prompt_template="<u>{message}")),
        (COMPLETIONS, {"prompt": "Hi"}, ModelEntry(supports_system_role=False)),
        (EMBEDDINGS, {"input": "Hi"}, ModelEntry(params=ALL)),
    ],
)
def test_a_request_that_needs_nothing_stays_the_same_object(kind, path, fields, model):
    fitted = fit(fields, path=path, kind=kind, model=model)

    assert fitted.fields is fields
    assert fitted.notes == ()


def test_the_clients_own_fields_are_never_changed():
    fields = {"messages": SYSTEM, "top_k": 5}
    model = ModelEntry(supports_system_role=False, params=ALL)

    fitted = fit(fields, path=CHAT, kind=OLLAMA, model=model)

    assert fields == {"messages": SYSTEM, "top_k": 5}
    assert fitted.fields["messages"][0]["role"] == "user"
    assert len(fitted.notes) == 3


# Stored templates


def completion(prompt, *, kind=VLLM, **fields):
    model = ModelEntry(prompt_template="<s>{system}<u>{message}<a>")
    fields = {"prompt": prompt, **fields}
    return fit(fields, path=COMPLETIONS, kind=kind, model=model)


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("Hi", "<s><u>Hi<a>"),
        ("{system} {message} {0} \\1", "<s><u>{system} {message} {0} \\1<a>"),
        (["Hi", "Ho"], ["<s><u>Hi<a>", "<s><u>Ho<a>"]),
    ],
)
def test_the_stored_template_is_put_around_a_plain_prompt(prompt, sent):
    fitted = completion(prompt)

    assert fitted.fields["prompt"] == sent
    assert fitted.notes == ("The prompt was put into the model's stored template.",)


@pytest.mark.parametrize(
    ("prompt", "more"),
    [
        pytest.param("Hi", {"kind": OLLAMA}, id="Ollama applies its own"),
        pytest.param("def f(", {"suffix": "return 1"}, id="a gap to fill"),
        pytest.param([1, 2, 3], {}, id="token numbers"),
        pytest.param([[1, 2], [3]], {}, id="several of them"),
        pytest.param([], {}, id="nothing"),
        pytest.param(None, {}, id="no prompt"),
    ],
)
def test_other_prompts_stay(prompt, more):
    fitted = completion(prompt, **more)

    assert fitted.fields["prompt"] == prompt
    assert fitted.notes == ()
