"""People and programs that reach a running product over HTTP."""

import re

import httpx


def caller(url: str, key: str = "") -> httpx.Client:
    """A program that has the key; without one, somebody who is not signed in."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)


def post_form(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Fill in the form of a page, as a browser does."""
    shown = browser.get(path)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.text)[1]
    return browser.post(path, data={"csrfmiddlewaretoken": token, **fields})


def welcome_path(output: str) -> str:
    """Where the sign-in link in the output of `prepare` or `up` leads."""
    return re.search(r"^Sign in: http://[^/]+(/welcome/\S+)$", output, re.M)[1]


def start_probe(program: httpx.Client, seconds: int) -> str:
    answer = program.post("/api/v1/models/operations/probe", json={"seconds": seconds})
    assert answer.status_code == 202, answer.text
    return answer.json()["operation_id"]


def status_of(program: httpx.Client, operation_id: str) -> str:
    """`` while nobody can say."""
    answer = program.get(f"/api/v1/models/operations/{operation_id}")
    return answer.json()["operation"]["status"] if answer.status_code == 200 else ""


def log_lines(program: httpx.Client, operation_id: str) -> list[str]:
    answer = program.get(f"/api/v1/models/operations/{operation_id}")
    assert answer.status_code == 200, answer.text
    return [line["line"] for line in answer.json()["log"]]


def assert_completed_once(program: httpx.Client, operation_id: str, steps: int) -> None:
    """The log of a completed probe: no step and no end is missing or doubled."""
    assert status_of(program, operation_id) == "completed"
    lines = log_lines(program, operation_id)
    assert lines.count("Completed.") == 1
    for step in range(1, steps + 1):
        assert lines.count(f"Step {step} of {steps}.") == 1


def assert_database_problem(answer: httpx.Response) -> None:
    """503 in a sentence, for a program or on a page; never a traceback."""
    assert answer.status_code == 503, answer.text
    assert "Traceback" not in answer.text
    if answer.request.url.path.startswith("/api/"):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "database_unavailable"
    else:
        assert "database" in answer.text
