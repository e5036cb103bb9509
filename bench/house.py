"""How the embedded house starts, what it weighs and what it costs when idle.

    python -m bench.house [--seconds 30]

Starts `manage.py up` on a data folder of its own and a free port, and prints: time
from the command to the first page, PSS and idle CPU of all processes, time to stop.
Linux only (reads /proc). Ends only what it started.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_page(port: int, deadline: float) -> None:
    """Until the sign-in page answers 200."""
    address = f"http://127.0.0.1:{port}/sign-in/"
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.02)
    raise SystemExit("the first page did not come")


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    for name in ("uvicorn", "worker", "beat", "up"):
        if name in words:
            return name
    return "other"


def start(folder: str, port: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "VENOM_DATA_DIR": folder,
        "VENOM_PORT": str(port),
        "VENOM_SKIP_BOOTSTRAP": "1",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def measure_start(folder: str, port: int) -> tuple[subprocess.Popen[bytes], float]:
    began = time.monotonic()
    process = start(folder, port)
    first_page(port, began + 60)
    return process, time.monotonic() - began


def stop(process: subprocess.Popen[bytes]) -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=15)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of idle time")
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="venom-bench-") as folder:
        port = free_port()
        process, first = measure_start(folder, port)
        stop(process)
        print(f"first start (migrates): {first:.2f} s to the first page")
        times = []
        for _ in range(options.starts):
            process, seconds = measure_start(folder, port)
            times.append(seconds)
            if len(times) < options.starts:
                stop(process)
        print("later starts: " + ", ".join(f"{t:.2f}" for t in times) + " s")
        report_idle(process, options.seconds)
        print(f"stopped in {stop(process):.2f} s")


def report_idle(process: subprocess.Popen[bytes], seconds: float) -> None:
    time.sleep(10)
    pids = family(process.pid)
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    whole_pss, whole_cpu = 0, 0.0
    for pid in pids:
        pss, cpu = pss_kib(pid), cpu_seconds(pid) - before[pid]
        whole_pss += pss
        whole_cpu += cpu
        share = 100 * cpu / seconds
        print(f"  {role(pid):8} {pss / 1024:6.1f} MiB PSS  {share:5.2f} % CPU")
    share = 100 * whole_cpu / seconds
    print(
        f"idle, all processes: {whole_pss / 1024:.0f} MiB PSS, {share:.2f} % of a core"
    )


if __name__ == "__main__":
    main()
