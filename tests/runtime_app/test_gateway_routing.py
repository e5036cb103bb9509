"""`choose_route` as a table. Pure."""

import pytest

from runtime_app.gateway.entries import ActiveEntry, RuntimeEntry, Snapshot
from runtime_app.gateway.routing import Asked, Decision, choose_route


def runtime(name: str, *served: str, kind: str = "openai_compatible") -> RuntimeEntry:
    return RuntimeEntry(
        name=name,
        display_name=name,
        provider=name,
        kind=kind,
        endpoint=f"http://127.0.0.1:9/{name}/v1",
        node="n",
        served=served,
    )


OLLAMA = runtime("ollama", "gemma3:4b", "phi3:latest", "both", kind="ollama")
LAB = runtime("lab", "practice-7b", "both", "ollama/odd")
SILENT = runtime("silent")


def snapshot(active: tuple[RuntimeEntry, str] | None, profile: str = "light"):
    entry = None
    if active:
        entry = ActiveEntry(
            runtime=active[0], model_name=active[1], served_name=active[1]
        )
    return Snapshot(
        number=1, profile=profile, runtimes=(OLLAMA, LAB, SILENT), active=entry
    )


ON_OLLAMA = snapshot((OLLAMA, "gemma3:4b"))
ON_LAB = snapshot((LAB, "practice-7b"))
NOTHING = snapshot(None)


def decide(model: str | None, known: Snapshot, **asked) -> Decision:
    return choose_route(Asked(model=model, **asked), known, known.policy)


def refusal_of(decision: Decision):
    assert not decision.routes
    assert decision.refusal is not None
    return decision.refusal


@pytest.mark.parametrize(
    ("model", "known", "server", "served"),
    [
        (None, ON_OLLAMA, "ollama", "gemma3:4b"),
        ("auto", ON_OLLAMA, "ollama", "gemma3:4b"),
        ("default", ON_LAB, "lab", "practice-7b"),
        ("", ON_LAB, "lab", "practice-7b"),
        ("gemma3:4b", ON_OLLAMA, "ollama", "gemma3:4b"),
        ("phi3", ON_OLLAMA, "ollama", "phi3:latest"),
        ("both", ON_OLLAMA, "ollama", "both"),
        ("ollama/phi3", ON_LAB, "ollama", "phi3:latest"),
        ("lab/both", ON_OLLAMA, "lab", "both"),
        ("ollama/gemma3:4b", NOTHING, "ollama", "gemma3:4b"),
        ("silent/anything", NOTHING, "silent", "anything"),
    ],
)
def test_a_model_leads_to_a_server(model, known, server, served):
    route = decide(model, known).routes[0]
    assert (route.runtime.name, route.served_name) == (server, served)


@pytest.mark.parametrize(
    ("model", "known", "status", "code"),
    [
        (None, NOTHING, 503, "no_active_runtime"),
        ("gemma3:4b", ON_LAB, 409, "model_not_active"),
        ("practice-7b", ON_OLLAMA, 409, "model_not_active"),
        ("practice-7b", NOTHING, 409, "model_not_active"),
        ("both", ON_LAB, 409, "model_not_active"),
        ("ollama/odd", ON_OLLAMA, 409, "model_not_active"),
        ("nope", ON_OLLAMA, 404, "model_not_found"),
        ("gemma3", ON_OLLAMA, 404, "model_not_found"),
        ("phi3", ON_LAB, 409, "model_not_active"),
        ("lab/gemma3:4b", ON_OLLAMA, 404, "model_not_found"),
        ("lab/", ON_OLLAMA, 404, "model_not_found"),
        ("/lab", ON_OLLAMA, 404, "model_not_found"),
        ("AUTO", ON_OLLAMA, 404, "model_not_found"),
        ("openai/gpt", ON_OLLAMA, 403, "paid_mode_off"),
        ("vllm/x", ON_OLLAMA, 403, "outside_profile"),
        ("ollama2/x", snapshot(None, "llm_off"), 404, "model_not_found"),
    ],
)
def test_a_model_that_cannot_be_sent_is_refused(model, known, status, code):
    refusal = refusal_of(decide(model, known))
    assert (refusal.status, refusal.code) == (status, code)
    assert refusal.message.endswith(".")


def test_a_profile_without_ollama_names_the_one_that_has_it():
    empty = Snapshot(number=1, profile="llm_off")
    refusal = refusal_of(decide("ollama/gemma3:4b", empty))
    assert refusal.code == "outside_profile"
    assert "VENOM_RUNTIME_PROFILE=light" in refusal.message
