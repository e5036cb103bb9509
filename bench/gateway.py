"""What the gateway adds to a request, beside the practice server asked directly.

    python -m bench.gateway [--requests 2000] [--tokens 200]

Starts a practice server and Venom in uvicorn on a data folder of its own, sends the
same requests to both with keep-alive and prints CPU a request and a token of Venom's
process, the latency each way and their ratio. Shared machines differ: compare ratios.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

MODEL = "practice-7b"
CHAT = "/v1/chat/completions"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--streams", type=int, default=64)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="venom-bench-") as folder:
        os.environ |= {"VENOM_DATA_DIR": folder, "VENOM_SKIP_BOOTSTRAP": "1"}
        practice, venom = free_port(), free_port()
        key = prepare(practice)
        neighbour = ("tests.fakes.openai_compatible", "--tokens-per-second", "0")
        with running(*neighbour, "--port", str(practice)):
            command = ("uvicorn", "venom_site.asgi:application", "--port", str(venom))
            with running(*command, "--log-level", "warning") as process:
                wait_for(practice)
                wait_for(venom)
                report(Target(practice, ""), Target(venom, key), process, chosen)


def prepare(practice: int) -> str:
    """Tables, one active server, one key."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "venom_site.settings"
    django.setup()
    from django.core.management import call_command

    from models_app.models import Node
    from runtime_app.governance import keys
    from runtime_app.models import Activation, Runtime
    from venom_site.lib.access import SYSTEM, Scope

    call_command("migrate", verbosity=0)
    node, _ = Node.objects.get_or_create(name="bench")
    runtime = Runtime.objects.create(
        node=node,
        name="practice",
        display_name="Practice",
        kind="openai_compatible",
        base_url=f"http://127.0.0.1:{practice}/v1",
        status="online",
        served_models=[{"name": MODEL}],
    )
    Activation.objects.create(
        node=node, runtime=runtime, model_name=MODEL, served_name=MODEL, state="active"
    )
    return keys.create_key("bench", [Scope.INFERENCE], actor=SYSTEM)[1]


class Target:
    """One server and the bytes of a request to it."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self._key = key

    def request(self, *, stream: bool, tokens: int) -> bytes:
        message = {"role": "user", "content": "Opowiedz mi o żółwiu."}
        body = json.dumps(
            {
                "model": MODEL,
                "messages": [message],
                "stream": stream,
                "max_tokens": tokens,
            }
        ).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def latencies(self, count: int, at_once: int, **wish) -> list[float]:
        """Seconds of each request, `at_once` connections sharing the work."""
        each = [count // at_once] * at_once
        found = await asyncio.gather(*(self._connection(n, **wish) for n in each))
        return [seconds for part in found for seconds in part]

    async def _connection(self, count: int, **wish) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        request, seconds = self.request(**wish), []
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            await read_answer(reader)
            seconds.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()
        return seconds


async def read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b" 200 " in head.split(b"\r\n")[0], head
    if b"content-length:" in head:
        length = head.split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        return
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        await reader.readexactly(size + 2)
        if not size:
            return


def report(
    direct: Target, venom: Target, process: psutil.Process, chosen: argparse.Namespace
) -> None:
    plain = {"stream": False, "tokens": 4}
    for target in (direct, venom):
        asyncio.run(target.latencies(200, 4, **plain))
    alone = [
        statistics.median(asyncio.run(target.latencies(500, 1, **plain)))
        for target in (direct, venom)
    ]
    print(
        f"p50 at concurrency 1   direct {alone[0] * 1e6:.0f} us, "
        f"through Venom {alone[1] * 1e6:.0f} us, ratio {alone[1] / alone[0]:.2f}"
    )
    count = chosen.requests
    cpu = cpu_of(process, venom.latencies(count, 16, **plain))
    print(f"CPU a request          {cpu / count * 1e6:.0f} us (16 at once)")
    streams, tokens = chosen.streams, chosen.tokens
    wish = {"stream": True, "tokens": tokens}
    cpu = cpu_of(process, venom.latencies(streams, streams, **wish))
    print(
        f"CPU a streamed token   {cpu / (streams * tokens) * 1e6:.1f} us "
        f"({streams} streams of {tokens} tokens)"
    )


def cpu_of(process: psutil.Process, work) -> float:
    """CPU seconds that the process spent while `work` ran."""
    before = process.cpu_times()
    asyncio.run(run(work))
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


async def run(work) -> None:
    await work


@contextmanager
def running(module: str, *arguments: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.DEVNULL
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"Nothing listens on port {port}.")


if __name__ == "__main__":
    main()
