"""The pages that every look-over visits, and a house in which they show something.

Used by the tests of pages. What is made here stays until the house is stopped.
"""

from __future__ import annotations

import json

import httpx

from tests.browser.demo import DemoHouse
from tests.embedded.waiting import wait_until

OPERATIONS = "/api/v1/models/operations"
FAULTS = "/__practice__/faults"
COMPLETIONS = "/v1/chat/completions"

# Name of the sight → its address; a word in braces is what `furnish` made.
SIGHTS = {
    "overview": "/",
    "models": "/models/",
    "models found": "/models/?family=phi3&state=installed",
    "no model": "/models/?q=nothing-of-this-name",
    "model": "/models/ollama/gemma3:4b/",
    "install": "/models/install/",
    "install check": "/models/install/?name=gemma3:270m",
    "install large": "/models/install/?name=llama3.3:70b",
    "runtimes": "/runtimes/",
    "runtime": "/runtimes/ollama/",
    "runtime offline": "/runtimes/away/",
    "runtime models": "/runtimes/ollama/?tab=models",
    "runtime charts": "/runtimes/ollama/?tab=charts",
    "runtime log": "/runtimes/ollama/?tab=log",
    "runtime settings": "/runtimes/ollama/?tab=settings",
    "runtime history": "/runtimes/ollama/?tab=history",
    "server changed": "/runtimes/practice/change/",
    "restart": "/runtimes/ollama/restart/",
    "charts": "/runtimes/ollama/charts/",
    "activate": "/runtimes/ollama/activate/?model=phi3:mini",
    "operations": "/operations/",
    "no operation": "/operations/?status=failed&type=activate",
    "operation running": "/operations/{running}/",
    "operation failed": "/operations/{failed}/",
    "requests": "/requests/",
    "requests found": "/requests/?provider=ollama&hours=24",
    "no request": "/requests/?q=nothing-of-this-name",
    "request": "/requests/{answered}/",
    "request refused": "/requests/{refused}/",
    "request fallen back": "/requests/{broken}/",
    "alerts": "/alerts/",
    "no silenced alert": "/alerts/?state=silenced",
    "news": "/news/",
    "papers": "/news/papers/?month=2026-07&part=papers",
    "no papers": "/news/papers/?month=2023-01&part=papers",
    "jump": "/jump/?q=gemma",
    "help": "/help/",
    "api": "/api/docs",
    "not found": "/nothing/here/",
}
# The library as the profile `full` shows it, furnished by `furnish_hub`.
HUB_SIGHTS = {
    "trending": "/models/trending/",
    "catalog": "/models/catalog/?q=practice",
    "offer": "/models/huggingface/practice/tiny-llama/",
    "offer gated": "/models/huggingface/practice/tiny-gated/",
    "offer refused": "/models/huggingface/practice/tiny-GGUF/",
    "installed": "/models/huggingface/{installed}/",
    "capabilities": "/models/huggingface/{installed}/capabilities/",
    "prepare": "/models/huggingface/{installed}/prepare/",
    "install": "/models/install/",
    "install variants": "/models/install/?name=gemma3:1b",
    "install gated": "/models/install/?provider=huggingface&name=practice/tiny-gated",
    "news": "/news/",
    "papers": "/news/papers/?month=2026-07&part=papers",
}
ADMIN = {
    "admin": "/admin/",
    "admin operations": "/admin/models_app/operation/",
    "admin operation": "/admin/models_app/operation/{failed}/change/",
}
OUTSIDE = {
    "sign in": "/sign-in/",
    "link used": "/welcome/never-a-link/",
    "help outside": "/help/",
}


def furnish(house: DemoHouse, program: httpx.Client) -> dict[str, str]:
    """An active model, answered and refused requests, operations of each end."""
    activate(program)
    add_a_server_that_is_away(house, program)
    bot = json.loads(
        house.manage("create_api_key", "bot", "--scope", "inference", "--json")
    )["key"]
    with httpx.Client(
        base_url=house.url, headers={"Authorization": f"Bearer {bot}"}, trust_env=False
    ) as caller:
        wait_until(lambda: ask(caller, "auto")[0] == 200, seconds=5, every=0.2)
        made = {
            "answered": ask(caller, "auto")[1],
            "refused": ask(caller, "no-such-model")[1],
            "broken": ask_broken(house, caller),
        }
    made |= {
        "failed": house.start_probe(program, 1, fail=True),
        "running": house.start_probe(program, 600),
    }
    wait_until(
        lambda: house.operation(program, made["failed"])["status"] == "failed",
        seconds=20,
        every=0.2,
    )
    wait_until(
        lambda: house.operation(program, made["running"])["progress"],
        seconds=20,
        every=0.2,
    )
    return made


def furnish_hub(program: httpx.Client) -> dict[str, str]:
    """An installed model of Hugging Face that has several files."""
    name = "practice/sharded-12m"
    body = {"provider": "huggingface", "name": name, "wait_seconds": 60}
    answer = program.post("/api/v1/models/install", json=body, timeout=70)
    assert answer.status_code == 202, answer.text
    return {"installed": name}


def activate(program: httpx.Client) -> None:
    body = {"name": "gemma3:4b", "runtime": "ollama", "wait_seconds": 60}
    answer = program.post("/api/v1/models/activate", json=body, timeout=70)
    assert answer.json()["runtime"]["model"] == "gemma3:4b", answer.text


def add_a_server_that_is_away(house: DemoHouse, program: httpx.Client) -> None:
    wanted = {"name": "away", "base_url": "http://127.0.0.1:9/v1"}
    assert program.post("/api/v1/system/llm-servers", json=wanted).status_code == 201
    wait_until(
        lambda: house.servers(program)["away"] == "offline", seconds=30, every=0.2
    )


def ask(caller: httpx.Client, model: str) -> tuple[int, str]:
    """The status of one request and its id."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    answer = caller.post(COMPLETIONS, json=body, timeout=30)
    return answer.status_code, answer.headers["X-Venom-Request-Id"]


def ask_broken(house: DemoHouse, caller: httpx.Client) -> str:
    fault = {"path": COMPLETIONS, "fault": "status:500", "times": 1}
    httpx.post(house.neighbour() + FAULTS, json=fault, trust_env=False)
    return ask(caller, "gemma3:4b")[1]
