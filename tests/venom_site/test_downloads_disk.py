"""Disks that are full or closed, and names that want out of the folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.venom_site.downloading import (
    MB,
    Stopped,
    Watch,
    fetch,
    lying,
    noise,
    running_source,
)
from venom_site.clients.downloads import DownloadRefused, RemoteFile, partial_bytes

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "http://127.0.0.1:9/x"


@pytest.fixture
def source():
    with running_source() as source:
        yield source


def refused(folder, *files, **options):
    with pytest.raises(DownloadRefused) as caught:
        fetch(folder, *files, **options)
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a/./b",
        "./a",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "a\\b",
        "..\\outside",
        "a\0b",
        "a\nb",
        "\x7f",
        ".venom-download/lock",
        ".Venom-Download/x",
        ".venom-download",
        "\ud800",
        "n" * 250,
        "/".join(["d" * 100] * 11),
    ],
)
def test_an_unsafe_path_is_refused_before_anything_is_written(tmp_path, path):
    folder = tmp_path / "model"
    safe = RemoteFile("ok.json", ELSEWHERE, 2)
    error = refused(folder, safe, RemoteFile(path, ELSEWHERE, 2))
    assert (error.case, error.permanent) == ("unsafe_path", True)
    assert len(str(error)) < 700
    assert not folder.exists()


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b")])
def test_names_that_exclude_each_other_are_refused(tmp_path, paths):
    files = [RemoteFile(path, ELSEWHERE, 2) for path in paths]
    assert refused(tmp_path, *files).case == "unsafe_path"


@pytest.mark.parametrize("name", ["link/a.bin", "link", "folder", ".venom-download"])
def test_links_and_folders_in_the_way_are_refused(source, tmp_path, name):
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    (folder / "folder").mkdir(parents=True)
    (folder / name.split("/")[0]).symlink_to(outside) if name != "folder" else None
    path = "a.bin" if name.startswith(".") else name
    error = refused(folder, source.remote(path, b"12345"))
    assert error.case == "unsafe_path"
    assert list(outside.iterdir()) == []


def test_names_that_only_look_odd_are_written(source, tmp_path):
    names = ["a b.json", "zażółć.json", "..a", "a..b/c...", ".gitattributes", "%2e"]
    files = []
    for number, name in enumerate(names):
        stored = source.remote(f"{number}", f"{number}".encode(), is_large=False)
        files.append(RemoteFile(name, stored.url, 1, git_sha1=stored.git_sha1))
    fetch(tmp_path, *files)
    assert set(lying(tmp_path)) == set(names)


def test_a_disk_without_room_is_refused_before_the_first_byte(source, tmp_path):
    huge = RemoteFile("huge.bin", ELSEWHERE, 10**15)
    error = refused(tmp_path, huge)
    assert (error.case, error.permanent) == ("disk_full", True)
    assert str(10**15) in str(error)


def test_the_room_is_taken_before_the_bytes_come(source, tmp_path):
    content = noise(20 * MB)
    source.desk.faults.plan("a.bin", f"stall:{MB}")
    remote = source.remote("a.bin", content)
    with pytest.raises(Stopped):
        fetch(tmp_path, remote, watch=Watch(stop_at=MB // 2))
    [part] = tmp_path.rglob("*.part")
    assert part.stat().st_size == 20 * MB
    assert part.stat().st_blocks * 512 >= 20 * MB
    assert partial_bytes(tmp_path) <= MB


CHILD = """
import os, resource, sys
from pathlib import Path
from venom_site.clients.downloads import Download, DownloadRefused, RemoteFile

folder, url, size, sha256, limit, when = sys.argv[1:]
def shrink():
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
def tell(path, done, total):
    if when == "later" and done > int(limit) // 2:
        shrink()
if when == "now":
    shrink()
if when == "nobody":
    os.setgid(65534)
    os.setuid(65534)
file = RemoteFile("a.bin", url, int(size), sha256)
try:
    Download(Path(folder), [file], headers={}).run(tell=tell, check=lambda: None)
except DownloadRefused as error:
    print(error.case, error.permanent)
if when == "measured":  # unlike getrusage's, not the parent's before exec
    print(next(x for x in open("/proc/self/status") if x.startswith("VmHWM")))
"""


def in_child(folder, remote, limit, when):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), remote.url]
    command += [str(remote.size_bytes), remote.sha256, str(limit), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("when", ["now", "later"])
def test_a_disk_that_is_full_in_the_middle_keeps_what_came(source, tmp_path, when):
    """The limit of a file's size stands for a full disk; it is a child's own."""
    content = noise(12 * MB)
    remote = source.remote("a.bin", content)
    source.desk.bytes_per_second = 12 * MB
    assert in_child(tmp_path, remote, 6 * MB, when) == "disk_full True"
    if when == "later":
        assert partial_bytes(tmp_path) >= 3 * MB
    source.desk.bytes_per_second = 0
    source.desk.sent_bytes.clear()
    kept = partial_bytes(tmp_path)
    fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": content}
    assert source.sent == 12 * MB - kept


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="gives up rights, so has some")
def test_a_folder_that_may_not_be_written_says_so(source, tmp_path):
    remote = source.remote("a.bin", b"12345")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    assert in_child(closed, remote, 10**9, "nobody") == "read_only True"
    assert list(closed.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_says_so(source, tmp_path):
    (tmp_path / "model").write_bytes(b"")
    error = refused(tmp_path / "model", source.remote("a.bin", b"12345"))
    assert error.case in ("read_only", "unsafe_path")


def test_an_endless_answer_of_unknown_size_stops_at_a_limit(source, tmp_path):
    """The limit itself is a gibibyte; a size beyond it is refused when it is told."""
    remote = source.remote("a.bin", b"12345", size=False, digest=False)
    source.desk.faults.plan("a.bin", f"long:{2 * 1024**3}", times=0)
    assert refused(tmp_path, remote).case == "size"


@pytest.mark.slow
def test_memory_stays_flat_while_a_large_file_comes(source, tmp_path):
    content = tmp_path / "content"
    with content.open("wb") as file:
        for seed in range(4):
            file.write(noise(100 * MB, seed=seed))
    remote = source.remote("a.bin", content)
    told = in_child(tmp_path / "out", remote, 10**10, "measured")
    assert int(told.split()[1]) * 1024 < 120 * MB
    assert (tmp_path / "out" / "a.bin").stat().st_size == 400 * MB
