"""Logs of servers: rotated under a writer, read from the end, never an error."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from venom_site.clients import server_logs

LATE = 30


@pytest.fixture
def path(tmp_path):
    return server_logs.log_path(tmp_path, "vllm")


def stamped(path, days, ending=".log"):
    at = datetime.now(UTC) - timedelta(days=days)
    other = path.with_name(f"{path.stem}-{at:%Y%m%dT%H%M%SZ}{ending}")
    other.write_text("old\n")
    return other


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "ä"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no name of a server"):
        server_logs.log_path(tmp_path, name)


def test_each_run_begins_a_log_of_its_own_and_the_last_are_listed(path):
    server_logs.begin_run(path)  # there is none: nothing to put aside
    for run in ("first", "second", "third"):
        server_logs.begin_run(path)
        with os.fdopen(server_logs.open_log(path), "w") as log:
            log.write(run)

    earlier = server_logs.earlier_runs(path)

    assert path.read_text() == "third"
    assert [run.path.read_text() for run in earlier] == ["second", "first"]
    assert earlier[0].size_bytes == len("second")
    assert abs(earlier[0].ended_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert path.stat().st_mode & 0o777 == 0o600


def test_logs_of_a_server_whose_name_begins_alike_are_not_its_runs(path):
    other = server_logs.log_path(path.parent, "vllm-two")
    stamped(other, 1)
    mine = stamped(path, 1)

    assert [run.path for run in server_logs.earlier_runs(path)] == [mine]


def test_rotation_packs_what_is_there_and_the_writer_goes_on_at_the_start(path):
    descriptor = server_logs.open_log(path)
    os.write(descriptor, b"before\n")

    copy = server_logs.rotate(path)
    os.write(descriptor, b"after\n")
    os.close(descriptor)

    assert gzip.decompress(copy.read_bytes()) == b"before\n"
    assert copy.name.endswith("Z.log.gz")
    assert path.read_bytes() == b"after\n"
    assert server_logs.tail(copy, 5) == ["before"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [run.path for run in server_logs.earlier_runs(path)] == [copy]


def test_an_empty_and_a_missing_log_are_not_rotated(path):
    assert server_logs.rotate(path) is None
    path.touch()
    assert server_logs.rotate(path) is None
    assert server_logs.earlier_runs(path) == []


def test_what_is_older_than_the_retention_goes_and_nothing_else(path):
    path.write_text("now\n")
    old = [stamped(path, 8), stamped(path, 9, ".log.gz"), stamped(path, 10, "-2.log")]
    kept = [stamped(path, 6), stamped(path, 6.5, ".log.gz")]
    strangers = [
        path.with_name("notes.txt"),
        path.with_name("vllm-99999999T999999Z.log"),
    ]
    for stranger in strangers:
        stranger.write_text("x")

    assert server_logs.forget_old(path.parent, days=7) == 3

    assert not any(other.exists() for other in old)
    assert all(other.exists() for other in [path, *kept, *strangers])
    assert server_logs.forget_old(path.parent / "missing", days=7) == 0


def test_the_tail_reads_the_end_only_and_hides_secrets(path):
    with path.open("w") as log:
        log.writelines(
            f"line {number} token=abcdef{number}\n" for number in range(99999)
        )

    assert server_logs.tail(path, 2) == ["line 99997 token=…", "line 99998 token=…"]
    assert len(server_logs.tail(path, 5000)) == 5000
    assert server_logs.tail(path, 0) == []


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", []),
        (b"one", ["one"]),
        (b"one\n\ntwo\n", ["one", "", "two"]),
        (b"a\r\nb\n", ["a", "b"]),
        (b"za\xbf\xf3\xb3\xe6\n", ["za���"]),
        (b"0%\r50%\r100%\ndone\n", ["100%", "done"]),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07end\x00\n", ["red end"]),
        (b"\xff\xfe\x00\n", ["��"]),
    ],
)
def test_whatever_bytes_there_are_lines_come_of_them(path, raw, lines):
    path.write_bytes(raw)
    assert server_logs.tail(path, 10) == lines


def test_a_line_without_end_is_shown_in_part(path):
    with path.open("wb") as log:
        log.truncate(20 * 2**20)
    found = server_logs.tail(path, 3)
    assert all(len(line) <= server_logs.LONGEST_LINE for line in found)
    assert server_logs.tail(path.with_name("none.log"), 3) == []


def test_lines_that_came_since_the_last_look(path):
    assert server_logs.new_lines(path, None) == ([], server_logs.Mark())
    path.write_text("old\n")
    _, mark = server_logs.new_lines(path, None)
    with path.open("a") as log:
        log.write("one\ntwo\nhalf")
    found, mark = server_logs.new_lines(path, mark)
    assert found == ["one", "two"]
    with path.open("a") as log:
        log.write(" is whole\n")
    found, mark = server_logs.new_lines(path, mark)
    assert found == ["half is whole"]
    assert server_logs.new_lines(path, mark) == ([], mark)
    path.rename(path.with_name("aside.log"))
    path.write_text("new run\n")
    found, mark = server_logs.new_lines(path, mark)
    assert found == ["new run"]
    server_logs.rotate(path)
    with path.open("a") as log:
        log.write("emptied\n")
    found, mark = server_logs.new_lines(path, mark)
    assert found[-1:] == ["emptied"] or server_logs.tail(path, 1) == ["emptied"]


def test_who_follows_sees_the_tail_what_comes_and_silence(path):
    path.write_text("one\ntwo\n")
    heard = []

    def write():
        with path.open("a") as log:
            log.write("three\n")

    for came in server_logs.follow(path, seconds=LATE, lines=1):
        heard.append(came)
        if heard == [["two"]]:
            write()
        if ["three"] in heard:
            break
    assert heard[0] == ["two"]
    assert list(server_logs.follow(path, seconds=0)) == [[]]


def test_a_full_disk_leaves_the_log_and_no_half_copy(path, caplog):
    """ENOSPC in the middle of the copy, as RLIMIT_FSIZE plays it."""
    path.write_bytes(os.urandom(400_000))
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from venom_site.clients import server_logs;"
        "print(server_logs.rotate(Path(sys.argv[1])))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "None\n", ended.stderr
    assert "not rotated" in ended.stderr
    assert path.stat().st_size == 400_000
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up rights, so has some")
def test_a_folder_that_may_not_be_looked_into_has_no_log_and_says_why(tmp_path):
    """As the user nobody: a closed folder, and a log in it that was somebody else's."""
    closed = tmp_path / "logs"
    closed.mkdir()
    (closed / "vllm.log").write_text("ERROR\n")
    closed.chmod(0o700)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path;"
        "from venom_site.clients import server_logs as logs, server_log_causes;"
        "os.setgid(65534); os.setuid(65534); path = Path(sys.argv[1]);"
        "logs.begin_run(path); os.close(logs.open_log(path));"
        "print(logs.is_there(path), logs.tail(path, 5), logs.earlier_runs(path));"
        "print(server_log_causes.first_error(path), logs.rotate(path));"
        "print(logs.why_unheard(path))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(closed / "vllm.log")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stdout.splitlines()
    assert said[:2] == ["False [] []", " None"], ended.stderr
    assert "vllm.log takes no line: Permission denied. Make room or give" in said[2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_log_that_cannot_be_had_is_a_warning_and_a_server_without_one(
    path, monkeypatch, caplog, number
):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    path.write_text("last run\n")
    real = os.open

    def open_nothing_else(name, *way):
        return real(name, *way) if name == os.devnull else refuse()

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    monkeypatch.setattr(os, "open", open_nothing_else)

    server_logs.begin_run(path)
    descriptor = server_logs.open_log(path)

    assert os.write(descriptor, b"heard by nobody") == 15
    os.close(descriptor)
    assert path.read_text() == "last run\n"
    assert os.strerror(number) in caplog.text


def test_rotating_under_a_writer_keeps_whole_lines_and_their_order(path):
    """A few lines may be lost at the cut, none is torn apart or written twice."""
    descriptor, done = server_logs.open_log(path), threading.Event()

    def write():
        for number in range(40_000):
            os.write(descriptor, b"line %06d\n" % number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    copies = []
    while not done.is_set():
        copies.append(server_logs.rotate(path))
        done.wait(0.05)
    writer.join(LATE)
    os.write(descriptor, b"line 040000\n")  # after the last cut
    os.close(descriptor)

    copies = [copy for copy in copies if copy]
    text = b"".join(gzip.decompress(copy.read_bytes()) for copy in copies)
    numbers = [int(line.split()[1]) for line in (text + path.read_bytes()).splitlines()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 40_000
