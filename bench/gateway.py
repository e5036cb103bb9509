"""What a gateway adds to a request: Venom, LiteLLM's proxy and the bare upstream.

    python -m bench.gateway [--rounds 3] [--litellm PROGRAM | --without-litellm]
                            [--soak 100000]

All in one run on this machine, in alternation: medians of the rounds, CPU of each
process tree. Venom runs as it is delivered, in uvicorn, with keys and history on;
LiteLLM with one worker and a master key, without a database. Machines differ:
compare ratios. Everything is on loopback and ends with the run.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psutil

from bench import rivals
from bench.load import Seen, Target
from bench.upstream import MODEL

PLAIN_TOKENS = 8
STREAM_TOKENS = 100
PACE = 50
# Quiet is less than this share of a core for so long.
QUIET_SECONDS, QUIET_SHARE = 0.3, 0.1


@dataclass
class Lane:
    """One target, its process, and the figures of each round by name."""

    target: Target
    process: psutil.Process
    figures: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0

    def note(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.figures[name])

    def cpu(self, work: Callable[[], Seen]) -> tuple[float, Seen]:
        """CPU seconds of the process tree for `work`: from quiet to quiet, so that what
        is done later (history, logs) counts for the series that caused it."""
        self._until_quiet()
        before = cpu_seconds(self.process)
        seen = work()
        self.failed += seen.failed
        self._until_quiet()
        return cpu_seconds(self.process) - before, seen

    def _until_quiet(self) -> None:
        """At most so long: what never rests is measured restless."""
        for _ in range(20):
            before = cpu_seconds(self.process)
            time.sleep(QUIET_SECONDS)
            if cpu_seconds(self.process) - before < QUIET_SECONDS * QUIET_SHARE:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--litellm", default="", help="an installed program")
    parser.add_argument("--without-litellm", action="store_true")
    parser.add_argument("--soak", type=int, default=0, help="requests to Venom")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="venom-bench-") as folder,
        ExitStack() as up,
    ):
        lanes = start(folder, up, chosen)
        for lane in lanes:
            lane.target.load(60, 4, tokens=PLAIN_TOKENS)
            lane.target.load(8, 8, tokens=10, pace=PACE)
            lane.failed = 0
        for number in range(chosen.rounds):
            for lane in lanes[number % len(lanes) :] + lanes[: number % len(lanes)]:
                one_round(lane, chosen.requests)
        report(lanes)
        if chosen.soak:
            soak(
                next(lane for lane in lanes if lane.target.name == "venom"), chosen.soak
            )


def start(folder: str, up: ExitStack, chosen: argparse.Namespace) -> list[Lane]:
    """The upstream, Venom and, unless refused, LiteLLM, each ready to answer."""
    os.environ |= {"VENOM_DATA_DIR": folder, "VENOM_SKIP_BOOTSTRAP": "1"}
    os.environ["VENOM_ENV_FILE"] = os.devnull
    bare, ours = free_port(), free_port()
    key = prepare(bare)
    upstream = up.enter_context(running("bench.upstream", "--port", str(bare)))
    command = ("venom_site.asgi:application", "--port", str(ours))
    # As `manage.py up` runs it.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    options = ("--log-level", "warning", "--no-access-log")
    venom = up.enter_context(running("uvicorn", *command, *options))
    lanes = [
        Lane(Target("bare upstream", bare), upstream),
        Lane(Target("venom", ours, key), venom),
    ]
    if not chosen.without_litellm:
        theirs, program = free_port(), rivals.litellm_program(chosen.litellm)
        process = up.enter_context(rivals.litellm(program, theirs, bare, folder))
        lanes.append(Lane(Target("litellm", theirs, rivals.KEY), process))
    for lane in lanes:
        wait_for(lane.target.port)
    return lanes


def prepare(upstream: int) -> str:
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
        base_url=f"http://127.0.0.1:{upstream}/v1",
        status="online",
        served_models=[{"name": MODEL}],
    )
    Activation.objects.create(
        node=node, runtime=runtime, model_name=MODEL, served_name=MODEL, state="active"
    )
    return keys.create_key("bench", [Scope.INFERENCE], actor=SYSTEM)[1]


def one_round(lane: Lane, requests: int) -> None:
    """Every series once. LiteLLM takes a tenth of the plain ones: it needs the time."""
    target = lane.target
    count = requests // (10 if target.name == "litellm" else 1)
    alone = target.load(count // 4, 1, tokens=PLAIN_TOKENS)
    lane.note("p50", statistics.median(alone.seconds))
    cpu, seen = lane.cpu(lambda: target.load(count, 16, tokens=PLAIN_TOKENS))
    lane.note("cpu request", cpu / len(seen.seconds))
    for streams in (64, 256):
        cpu, seen = lane.cpu(
            lambda n=streams: target.load(n, n, tokens=STREAM_TOKENS, pace=PACE)
        )
        lane.note(f"cpu token {streams}", cpu / max(1, seen.tokens))
        lane.note(f"rate {streams}", seen.tokens / seen.elapsed)
    lane.note("rss", rss(lane.process))


def report(lanes: list[Lane]) -> None:
    bare, rival = lanes[0], lanes[-1]
    names = [lane.target.name for lane in lanes]
    print("| | " + " | ".join(names) + " | venom / litellm |")
    print("|---|" + "---|" * (len(lanes) + 1))
    row("p50 at concurrency 1, µs", lanes, lambda lane: lane.median("p50") * 1e6, "")
    added = [lane.median("p50") - bare.median("p50") for lane in (lanes[1], rival)]
    print(
        f"| added p50, µs | | {added[0] * 1e6:.0f} "
        f"{f'| {added[1] * 1e6:.0f} ' if rival is not lanes[1] else ''}"
        f"| {added[0] / added[1]:.3f} |"
    )
    row("CPU a request, µs", lanes, lambda lane: lane.median("cpu request") * 1e6)
    for n in (64, 256):
        name = f"CPU a streamed token at {n} streams, µs"
        row(name, lanes, lambda lane, n=n: lane.median(f"cpu token {n}") * 1e6)
        name = f"tokens a second at {n} streams, of the bare upstream"
        row(
            name,
            lanes,
            lambda lane, n=n: lane.median(f"rate {n}") / bare.median(f"rate {n}"),
            "",
        )
    row("memory of the process tree, MB", lanes, lambda lane: lane.median("rss"))
    row("failed requests", lanes, lambda lane: lane.failed, "")


def row(
    name: str,
    lanes: list[Lane],
    figure: Callable[[Lane], float],
    ratio: str | None = None,
) -> None:
    found = [figure(lane) for lane in lanes]
    cells = " | ".join(
        f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in found
    )
    has_rival = lanes[-1].target.name == "litellm"
    share = f"{found[1] / found[-1]:.3f}" if ratio is None and has_rival else ""
    print(f"| {name} | {cells} | {share} |", flush=True)


def soak(lane: Lane, requests: int) -> None:
    """Is the memory flat? Ten parts, the resident size after each."""
    sizes = []
    for _ in range(10):
        seen = lane.target.load(requests // 10, 16, tokens=PLAIN_TOKENS)
        sizes.append(rss(lane.process))
        assert not seen.failed, seen.failed
    shown = " ".join(f"{size:.0f}" for size in sizes)
    print(f"\nmemory over {requests} requests, MB after each tenth: {shown}")


def tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    times = [member.cpu_times() for member in tree(process)]
    return sum(spent.user + spent.system for spent in times)


def rss(process: psutil.Process) -> float:
    """MB of 10⁶ bytes, shared pages counted once: the proportional set size."""
    return sum(member.memory_full_info().pss for member in tree(process)) / 1e6


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
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"Nothing listens on port {port}.")


if __name__ == "__main__":
    main()
