"""Our downloader beside huggingface_hub's, from the same hub on loopback.

    python -m bench.downloads [--rounds 5] [--megabytes 1000] [--folder /dev/shm]

Each in a process of its own, in alternation: `Download` with its proof by SHA-256 and
its syncs, and `snapshot_download` (what `hf download` calls; no proof, no sync) with
HF_HUB_DISABLE_XET=1. Time is that of the call, without imports. Then the bars: the
ratio of throughput at least 1, peak memory under 120 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fast_hub import COMMIT, NAME

ROOT = Path(__file__).resolve().parent.parent
MOST_MEMORY_MB = 120
MEASURE = """
import resource, time
def measured(call):
    began, cpu = time.perf_counter(), time.process_time()
    call()
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    status = open("/proc/self/status").read()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    print(taken, cpu, peak)
"""
OURS = (
    MEASURE
    + """
import json, sys
from pathlib import Path
from venom_site.clients.downloads import Download, RemoteFile
url, folder, connections, listed = sys.argv[1:]
files = [
    RemoteFile(path, f"{url}/{path}", size, sha256)
    for path, size, sha256 in json.loads(listed)
]
download = Download(Path(folder), files, headers={}, connections=int(connections))
measured(lambda: download.run(tell=lambda *_: None, check=lambda: None))
"""
)
THEIRS = (
    MEASURE
    + """
import sys
from huggingface_hub import snapshot_download
name, folder = sys.argv[1:]
measured(lambda: snapshot_download(name, local_dir=folder))
"""
)


@dataclass(frozen=True)
class Taken:
    seconds: float
    cpu_seconds: float
    peak_mb: float


def make_model(folder: Path, megabytes: int, shards: int, small: int) -> None:
    """Weights in shards and small files of 5 kB beside them."""
    for number in range(shards):
        with (folder / f"model-{number:05}.safetensors").open("wb") as file:
            for _ in range(megabytes // shards // 10):
                file.write(os.urandom(10_000_000))
    for number in range(small):
        (folder / f"file-{number}.json").write_bytes(os.urandom(5000))


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fast_hub", str(folder), "0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def listed(url: str) -> str:
    import httpx

    tree = httpx.get(f"{url}/api/models/{NAME}/tree/{COMMIT}", trust_env=False).json()
    return json.dumps([[e["path"], e["size"], e["lfs"]["oid"]] for e in tree])


def run(code: str, words: list[str], folder: Path, url: str) -> Taken:
    """One download into an empty folder by a fresh process."""
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()  # what the round before left to be written would slow this one
    quiet = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder.parent / "hf-home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        check=True,
    )
    shutil.rmtree(folder.parent / "hf-home", ignore_errors=True)
    return Taken(*map(float, done.stdout.split()))


def tell(kind: str, rounds: list[Taken], megabytes: int) -> float:
    """One row; returns the median throughput in MB/s."""
    rates = sorted(megabytes / taken.seconds for taken in rounds)
    median = statistics.median(rates)
    cpu = statistics.median(taken.cpu_seconds for taken in rounds)
    peak = max(taken.peak_mb for taken in rounds)
    print(
        f"| {kind} | {median:.0f} ({rates[0]:.0f}–{rates[-1]:.0f}) "
        f"| {1000 * cpu / megabytes:.2f} | {peak:.0f} |"
    )
    return median


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--small", type=int, default=12, help="files beside them")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="for the bytes")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="venom-bench-", dir=wishes.folder) as place:
        model, out = Path(place) / "model", Path(place) / "out"
        model.mkdir()
        make_model(model, wishes.megabytes, wishes.shards, wishes.small)
        ours, theirs = [], []
        with hub(model) as url:
            words = [f"{url}/{NAME}/resolve/{COMMIT}", str(out)]
            words += [str(wishes.connections), listed(url)]
            for _ in range(wishes.rounds):
                ours.append(run(OURS, words, out, url))
                theirs.append(run(THEIRS, [NAME, str(out)], out, url))
    size = wishes.megabytes
    print(f"{size} MB in {wishes.shards} and {wishes.small} small files, MB/s\n")
    print(
        "| | median (least–most) | CPU, ms a MB | peak memory, MB |\n|---|---|---|---|"
    )
    ratio = tell("Venom", ours, size) / tell("huggingface_hub", theirs, size)
    pairs = [t.seconds / o.seconds for o, t in zip(ours, theirs, strict=True)]
    peak = max(taken.peak_mb for taken in ours)
    print(f"\nratio of medians {ratio:.2f}, of each round ", end="")
    print(" ".join(f"{pair:.2f}" for pair in pairs), "(bar 1)")
    print(f"peak memory {peak:.0f} MB (bar {MOST_MEMORY_MB})")
    return 0 if ratio >= 1 and peak < MOST_MEMORY_MB else 1


if __name__ == "__main__":
    sys.exit(main())
