"""Random kill -9 of a downloading process: nothing is wrong and little comes twice.

pytest -m deep -s tests/venom_site/test_downloads_kills.py
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.waiting import wait_until
from tests.venom_site.downloading import MB, noise, running_source

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
MOST_TWICE = 0.02  # of the size
# Of a small file ten kills are more; what one costs is bounded by time, not by size.
MOST_TWICE_OF_LITTLE = 0.05
CHILD = """
import sys
from pathlib import Path
from venom_site.clients.downloads import Download, RemoteFile

folder, url, size, sha256 = sys.argv[1:]
file = RemoteFile("model.safetensors", url, int(size), sha256)
Download(Path(folder), [file], headers={}).run(tell=print, check=lambda: None)
"""


@pytest.fixture
def source():
    with running_source() as source:
        yield source


def child(folder, remote):
    command = [sys.executable, "-c", CHILD, str(folder), remote.url]
    command += [str(remote.size_bytes), remote.sha256]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def killed(source, folder, remote, after_bytes):
    """One process that dies after so many more bytes have left the server."""
    until = source.sent + after_bytes
    process = child(folder, remote)
    wait_until(lambda: source.sent >= until or process.poll() is not None, seconds=120)
    assert process.poll() is None, "it ended before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    wait_until(lambda: not source.state.in_flight, seconds=20)


def killed_ten_times(source, tmp_path, size, speed):
    content = tmp_path / "content"
    with content.open("wb") as file:
        for seed in range(0, size, 50 * MB):
            file.write(noise(min(50 * MB, size - seed), seed=seed))
    remote = source.remote("model.safetensors", content)
    source.desk.bytes_per_second = speed
    chance = random.Random(20261121)
    folder = tmp_path / "model.partial"
    for _ in range(KILLS):
        share = chance.uniform(0.02, 0.09)
        killed(source, folder, remote, int(share * size))
    last = child(folder, remote)
    assert last.wait(600) == 0
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert found == remote.sha256
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    twice = source.sent - size
    print(f"{KILLS} kills, {size / MB:.0f} MB: {twice / size:.3%} came twice")
    return twice / size


@pytest.mark.slow
@pytest.mark.process
def test_ten_kills_fetch_next_to_nothing_twice(source, tmp_path):
    assert killed_ten_times(source, tmp_path, 160 * MB, 25 * MB) < MOST_TWICE_OF_LITTLE


@pytest.mark.deep
@pytest.mark.process
def test_ten_kills_of_a_large_file_at_full_speed(source, tmp_path):
    assert killed_ten_times(source, tmp_path, 4000 * MB, 0) < MOST_TWICE
