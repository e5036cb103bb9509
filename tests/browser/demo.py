"""`manage.py up --demo` in a folder of its own, with its neighbours within reach.

Used by the browser tests' fixtures. It reads only what a user could read: the output,
the file with the neighbours' addresses, the API.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from tests.embedded.waiting import wait_until
from tests.running import House

PASSWORD = "correct horse battery"
NAME = "owner"
PRACTICE = ("ollama", "practice")  # vLLM waits until somebody starts it


class DemoHouse(House):
    def __init__(self) -> None:
        super().__init__("--demo")

    def sign_in_link(self) -> str:
        return re.search(r"Sign in: (\S+)", self.log.read_text())[1]

    def neighbour(self, variable: str = "OLLAMA_BASE_URL") -> str:
        """The address of the practice server behind that setting."""
        text = (Path(self.folder) / "run" / "demo.json").read_text()
        return json.loads(text)[variable]

    def wait_for_runtimes(self) -> None:
        """Until the first health check has seen both neighbours."""
        with self.client() as client:
            wait_until(lambda: self._all_seen(client), seconds=60, every=0.2)

    def _all_seen(self, client: httpx.Client) -> bool:
        seen = self.servers(client)
        return all(seen.get(name) == "online" for name in PRACTICE)

    def servers(self, client: httpx.Client) -> dict[str, str]:
        """Name → status."""
        answer = client.get("/api/v1/system/llm-servers").json()
        return {server["name"]: server["status"] for server in answer["servers"]}

    def start_probe(self, client: httpx.Client, seconds: int, **more) -> str:
        body = {"seconds": seconds, **more}
        answer = client.post("/api/v1/models/operations/probe", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["operation_id"]

    def operation(self, client: httpx.Client, pk: str) -> dict:
        return client.get(f"/api/v1/models/operations/{pk}").json()["operation"]
