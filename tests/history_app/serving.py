"""The product with clients that ask until it is gone."""

import contextlib
import threading
import time

import httpx

from tests.practice import PracticeProcess
from tests.product import Product

MODEL = "practice-7b"
CHAT = "/v1/chat/completions"


class Served(Product):
    """Beside a practice server.

    `ask_until_gone` has clients ask one request after the other and remembers when
    each was answered, by the id in the answer's header.
    """

    def __init__(self, folder, neighbour: PracticeProcess) -> None:
        super().__init__(folder)
        script = _ADD_SERVER.format(url=neighbour.url, model=MODEL)
        self.key = self.script(script).split()[-1]
        self.answered: dict[str, float] = {}

    def start(self) -> None:
        """Anew, with nothing answered yet."""
        self.answered = {}
        super().start()

    def ask_until_gone(self, clients: int = 4) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def _ask(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.Client(base_url=self.url, headers=headers, trust_env=False) as client,
        ):
            while True:
                answer = client.post(CHAT, json=body)
                assert answer.status_code == 200, answer.text
                row = answer.headers["x-venom-request-id"]
                self.answered[row] = time.monotonic()


_ADD_SERVER = """
from django.conf import settings
from models_app.models import Node
from runtime_app.governance import keys
from runtime_app.models import Activation, Runtime
from venom_site.lib.access import SYSTEM, Scope
node, _ = Node.objects.get_or_create(name=settings.NODE)
runtime, _ = Runtime.objects.update_or_create(node=node, name="practice", defaults=dict(
    display_name="Practice", kind="openai_compatible", base_url="{url}/v1",
    status="online", served_models=[dict(name="{model}")]))
Activation.objects.create(node=node, runtime=runtime, model_name="{model}",
    served_name="{model}", state="active")
print(keys.create_key("bot", [Scope.INFERENCE], actor=SYSTEM)[1])
"""
