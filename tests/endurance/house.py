"""The gateway as a process among practice servers, good and bad; its keys."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from tests.endurance.kinds import LAB, OLLAMA
from tests.endurance.planted import LAB_KEY, QUOTED_KEY, Keys
from tests.fakes.raw import RawServer, event, head
from tests.practice import PracticeProcess
from tests.product import Product

FAST = ("--tokens-per-second", "0", "--answer-tokens", "12")
DEADLINES = {
    "VENOM_FIRST_BYTE_SECONDS_LOCAL": "5",
    "VENOM_STREAM_IDLE_SECONDS": "2",
}
_SAID = event({"choices": [{"delta": {"content": "x" * 65_000}}]})
_END = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
# Four megabytes: more than the kernel takes for a client that does not read.
LONG = [head("text/event-stream"), *[_SAID] * 64, _END, b"data: [DONE]\n\n"]
MALFORMED = [head("text/event-stream"), b"data: <html>no JSON</html>\n\n"]


class House:
    """`with standing(folder) as house: …`."""

    def __init__(self, product: Product, neighbours: list[PracticeProcess]) -> None:
        self.product = product
        self.neighbours = neighbours
        self.process = psutil.Process(product.running.process.pid)

    def memory(self) -> float:
        """MB of 10⁶ bytes that are the gateway's alone."""
        return self.process.memory_full_info().uss / 1e6

    def open_connections(self) -> int:
        """Of clients that are still connected."""
        return sum(
            connection.status == psutil.CONN_ESTABLISHED
            and connection.laddr.port == self.product.port
            for connection in self.process.net_connections("tcp")
        )

    def in_flight(self) -> int:
        """Requests that a practice server still works on."""
        return sum(neighbour.state()["in_flight"] for neighbour in self.neighbours)

    def told(self, key: str) -> dict[str, bytes]:
        """What the API says of the history and the runtimes to whoever may see all."""
        headers = {"Authorization": f"Bearer {key}"}
        paths = {
            "rows": "/api/v1/history/requests/export?format=jsonl",
            "alerts": "/api/v1/alerts?limit=200",
            "servers": "/api/v1/system/llm-servers",
            "models": "/v1/models",
        }
        with httpx.Client(
            base_url=self.product.url, headers=headers, trust_env=False, timeout=60
        ) as client:
            return {name: client.get(path).content for name, path in paths.items()}

    def left_behind(self) -> Iterator[tuple[Path, bytes]]:
        """Every file of the data folder: database, spool, log of the process."""
        for path in self.product.folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()


@contextmanager
def standing(folder: Path) -> Iterator[tuple[House, Keys]]:
    with ExitStack() as up:
        ollama = up.enter_context(PracticeProcess("ollama", *FAST))
        guarded = ("openai_compatible", *FAST, "--api-key", LAB_KEY)
        lab = up.enter_context(PracticeProcess(*guarded))
        servers = [
            ("ollama", ollama.url, OLLAMA, ""),
            ("lab", f"{lab.url}/v1", LAB, LAB_KEY),
            *_bad_servers(up),
        ]
        product = Product(folder, **DEADLINES)
        keys = Keys(**json.loads(product.script(_SCRIPT.format(servers=servers))))
        product.start()
        with product.running:
            yield House(product, [ollama, lab]), keys


def _bad_servers(up: ExitStack) -> list[tuple[str, str, str, str]]:
    """Name, address, model, key; after `lab` in the order of a fallback."""
    long = up.enter_context(RawServer(LONG))
    malformed = up.enter_context(RawServer(MALFORMED))
    quoting = up.enter_context(RawServer([_refusal(QUOTED_KEY)]))
    closed = up.enter_context(socket.socket())
    closed.bind(("127.0.0.1", 0))  # bound and not listening
    return [
        ("long", f"{long.url}/v1", "m", ""),
        ("malformed", f"{malformed.url}/v1", "m", ""),
        ("quoting", f"{quoting.url}/v1", "m", QUOTED_KEY),
        ("refusing", f"http://127.0.0.1:{closed.getsockname()[1]}/v1", "m", ""),
        ("unnamed", "http://nowhere.invalid:8001/v1", "m", ""),
    ]


def _refusal(key: str) -> bytes:
    said = json.dumps({"error": {"message": f"Incorrect API key: {key}"}}).encode()
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(said)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + said


_SCRIPT = """
import json
from datetime import timedelta
from django.conf import settings
from django.utils import timezone
from models_app.models import Node
from runtime_app.governance import keys
from runtime_app.models import Activation, ApiKey, Runtime
from venom_site.lib.access import SYSTEM, Scope
from venom_site.lib.secrets import encrypt

node, _ = Node.objects.get_or_create(name=settings.NODE)
for place, (name, url, model, key) in enumerate({servers}):
    kind = "ollama" if name == "ollama" else "openai_compatible"
    runtime, _ = Runtime.objects.update_or_create(node=node, name=name, defaults=dict(
        display_name=name.title(), kind=kind, base_url=url, status="online",
        position=place, encrypted_key=encrypt(key) if key else "",
        served_models=[dict(name=model)]))
    if kind == "ollama":
        Activation.objects.create(node=node, runtime=runtime, model_name=model,
            served_name=model, state="active")

def made(name, scope, **fields):
    return keys.create_key(name, [scope], actor=SYSTEM, **fields)[1]

found = dict(
    good=made("good", Scope.INFERENCE),
    expired=made("expired", Scope.INFERENCE, expires_at=timezone.now()),
    revoked=made("revoked", Scope.INFERENCE),
    reader=made("reader", Scope.READ),
    operator=made("operator", Scope.ADMIN),
)
keys.revoke_key("revoked", actor=SYSTEM)
print(json.dumps(found))
"""
