"""A download that ends in the middle goes on later, byte for byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.waiting import wait_until
from tests.threads import in_thread
from tests.venom_site.downloading import (
    MB,
    Stopped,
    Watch,
    fetch,
    lying,
    noise,
    running_source,
)
from venom_site.clients import downloads_journal
from venom_site.clients.downloads import (
    Download,
    DownloadRefused,
    discard,
    partial_bytes,
)
from venom_site.clients.downloads_proof import DoneList

CONTENT = noise(20 * MB, seed=5)
STATE = ".venom-download"


@pytest.fixture
def source():
    with running_source() as source:
        yield source


@pytest.fixture
def large(source):
    return source.remote("a.bin", CONTENT)


@pytest.fixture
def half(source, large, tmp_path):
    """Twelve of twenty megabytes are there."""
    source.desk.faults.plan("a.bin", f"stall:{12 * MB}")
    with pytest.raises(Stopped):
        fetch(tmp_path / "half", large, watch=Watch(stop_at=12 * MB - 300_000))
    source.desk.sent_bytes.clear()
    return tmp_path / "half"


def is_proved(folder):
    """Whether one file is in its place and noted as proved."""
    done = folder / STATE / "done"
    return lambda: done.exists() and done.read_bytes().endswith(b"\n")


def start_machine_again(monkeypatch):
    """As if: another boot id. What the page cache held may be lost."""
    monkeypatch.setattr(downloads_journal, "boot_id", lambda: "another boot")


def test_it_goes_on_where_it_was_ended(source, large, half):
    assert partial_bytes(half) == 12 * MB
    watch = fetch(half, large)
    assert lying(half) == {"a.bin": CONTENT}
    assert source.sent == 8 * MB
    assert watch.told[0][1] >= 12 * MB


@pytest.mark.slow
def test_a_large_file_goes_on_from_all_sides(source, tmp_path):
    content = noise(100 * MB, seed=6)
    remote = source.remote("a.bin", content)
    source.desk.bytes_per_second = 60 * MB
    with pytest.raises(Stopped):
        fetch(tmp_path, remote, watch=Watch(stop_at=50 * MB))
    wait_until(lambda: not source.state.in_flight, seconds=20)
    kept, source.desk.bytes_per_second = partial_bytes(tmp_path), 0
    source.desk.sent_bytes.clear()
    fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": content}
    assert source.sent == 100 * MB - kept


@pytest.mark.slow
def test_what_lies_there_is_read_again_and_told_as_verifying(source, tmp_path):
    """So many bytes without content cost no disk, and a third of a second to read."""
    content, folder = tmp_path / "content", tmp_path / "model"
    folder.mkdir()
    for place in (content, folder / "a.bin"):
        with place.open("wb") as file:
            file.truncate(600 * MB)
    watch = fetch(folder, source.remote("a.bin", content))
    assert source.desk.asked == []
    read = [read for _, read, _ in watch.verified]
    assert read == sorted(read)
    assert 0 <= read[0] < 600 * MB
    assert {total for *_, total in watch.verified} == {600 * MB}
    assert watch.told == [("a.bin", 600 * MB, 600 * MB)]


def test_a_power_loss_keeps_what_was_sealed(source, large, half, monkeypatch):
    start_machine_again(monkeypatch)
    sealed = half / STATE
    noted = downloads_journal.Noted(
        path="a.bin",
        digest=large.digest,
        size=20 * MB,
        tag="",
        written=((0, 5 * MB),),
    )
    key = next(sealed.glob("*.part")).stem
    downloads_journal.Journal(sealed, key).seal(noted)
    # What was not synced is zeros now.
    with (sealed / f"{key}.part").open("r+b") as file:
        file.seek(5 * MB)
        file.write(bytes(7 * MB))
    assert partial_bytes(half) == 5 * MB
    watch = fetch(half, large)
    assert lying(half) == {"a.bin": CONTENT}
    assert (source.sent, watch.words) == (15 * MB, [])


def test_a_power_loss_before_anything_was_sealed_begins_anew(
    source, large, half, monkeypatch
):
    start_machine_again(monkeypatch)
    fetch(half, large)
    assert lying(half) == {"a.bin": CONTENT}
    assert source.sent == 20 * MB


@pytest.mark.slow
def test_bytes_are_sealed_while_they_come(source, large, tmp_path):
    source.desk.bytes_per_second = 4 * MB
    watch = Watch()
    running = in_thread(
        lambda: pytest.raises(Stopped, fetch, tmp_path, large, watch=watch)  # noqa: RUF061
    )
    wait_until(lambda: list(tmp_path.rglob("*.sealed")), seconds=30)
    sealed = downloads_journal.sealed(next(tmp_path.rglob("*.sealed")))
    watch.stop_at = 0
    running.join()
    assert 0 < sealed.written[0][1] <= 20 * MB


def test_a_proved_file_is_read_again_after_the_machine_started_again(
    source, tmp_path, monkeypatch
):
    stalled = source.remote("b.bin", CONTENT)
    source.desk.faults.plan("b.bin", "stall:0")
    done = source.remote("a.bin", noise(9 * MB))
    with pytest.raises(Stopped):
        fetch(tmp_path, done, stalled, watch=Watch(stop_if=is_proved(tmp_path)))
    start_machine_again(monkeypatch)
    (tmp_path / "a.bin").write_bytes(bytes(9 * MB))
    fetch(tmp_path, done, stalled)
    assert lying(tmp_path) == {"a.bin": noise(9 * MB), "b.bin": CONTENT}


def test_a_proved_file_is_neither_fetched_nor_read_again(source, tmp_path):
    done, stalled = source.remote("a.bin", noise(9 * MB)), source.remote("b.bin", b"x")
    source.desk.faults.plan("b.bin", "stall:0")
    with pytest.raises(Stopped):
        fetch(tmp_path, done, stalled, watch=Watch(stop_if=is_proved(tmp_path)))
    before = (tmp_path / "a.bin").stat()
    watch = fetch(tmp_path, done, stalled)
    assert watch.told[0] == ("a.bin", 9 * MB, 9 * MB)
    assert (tmp_path / "a.bin").stat().st_ctime_ns == before.st_ctime_ns
    assert source.desk.sent_bytes["a.bin"] == 9 * MB


def test_a_proof_holds_for_one_run_of_the_machine_and_one_look_of_the_file(
    source, tmp_path, monkeypatch
):
    remote = source.remote("a.bin", b"12345")
    target = tmp_path / "a.bin"
    target.write_bytes(b"12345")
    done = DoneList(tmp_path)
    done.add(remote, target)
    assert done.is_proved(remote, target, done.load())
    assert not done.is_proved(replace(remote, sha256="0"), target, done.load())
    with monkeypatch.context() as patched:
        start_machine_again(patched)
        assert not done.is_proved(remote, target, done.load())
    target.write_bytes(b"54321")
    assert not done.is_proved(remote, target, done.load())
    (tmp_path / "done").write_bytes(b'{"path": "a.b')
    assert done.load() == {}


def test_damage_on_the_disk_is_found_and_fetched_again(source, large, half):
    with next(half.rglob("*.part")).open("r+b") as file:
        file.seek(3 * MB)
        file.write(b"somebody else was here")
    watch = fetch(half, large)
    assert lying(half) == {"a.bin": CONTENT}
    assert watch.words == ["Wrong bytes came for a.bin: it is fetched once again."]


@pytest.mark.parametrize("harm", ["torn", "empty", "gone", "other"])
def test_a_damaged_journal_costs_bytes_and_nothing_else(source, large, half, harm):
    journal = next(half.rglob("*.journal"))
    if harm == "gone":
        journal.unlink()
    else:
        size = journal.stat().st_size
        torn = journal.read_bytes()[: size // 2 - 40] + b"\0" * 20
        harmed = {"torn": torn[:60], "empty": b"", "other": b"\xff" * size}[harm]
        journal.write_bytes(harmed)
    fetch(half, large)
    assert lying(half) == {"a.bin": CONTENT}


def test_one_torn_slot_of_a_journal_leaves_the_other(large, half):
    journal = next(half.rglob("*.journal"))
    turn, noted = downloads_journal.newest(journal)
    raw = bytearray(journal.read_bytes())
    raw[turn % 2 * downloads_journal.SLOT_BYTES + 30] ^= 0xFF
    journal.write_bytes(raw)
    older, before = downloads_journal.newest(journal)
    assert older == turn - 1
    assert 0 < before.written[0][1] <= noted.written[0][1]


def test_another_promise_for_the_same_path_begins_anew(source, half):
    newer = noise(20 * MB, seed=8)
    fetch(half, source.remote("a.bin", newer))
    assert lying(half) == {"a.bin": newer}
    assert source.sent == 20 * MB


def test_files_of_an_earlier_choice_are_not_left_behind(source, tmp_path):
    first = source.remote("q4.gguf", noise(9 * MB))
    stalled = source.remote("b.bin", CONTENT)
    source.desk.faults.plan("b.bin", "stall:0")
    with pytest.raises(Stopped):
        fetch(tmp_path, first, stalled, watch=Watch(stop_if=is_proved(tmp_path)))
    assert (tmp_path / "q4.gguf").exists()
    assert len(list(tmp_path.rglob("*.part"))) == 1
    (tmp_path / "NOTES.txt").write_text("not ours")
    fetch(tmp_path, source.remote("q8.gguf", CONTENT))
    assert set(lying(tmp_path)) == {"q8.gguf", "NOTES.txt"}


def test_a_second_process_in_the_same_folder_is_refused(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "stall:0")
    watch = Watch()
    running = in_thread(
        lambda: pytest.raises(Stopped, fetch, tmp_path, large, watch=watch)  # noqa: RUF061
    )
    wait_until(lambda: source.desk.asked, seconds=30)
    for second in (lambda: fetch(tmp_path, large), lambda: discard(tmp_path)):
        with pytest.raises(DownloadRefused) as caught:
            second()
        assert (caught.value.case, caught.value.wait_seconds) == ("busy", 0)
    watch.stop_at = 0
    running.join()
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_partial_bytes_count_whole_files_and_halves(source, half, large):
    (half / "config.json").write_bytes(b"{}")
    assert partial_bytes(half) == 12 * MB + 2
    assert partial_bytes(half / "nothing") == 0


def test_a_discarded_download_leaves_nothing(source, half, large):
    assert discard(half) == 12 * MB
    assert not half.exists()
    assert discard(half) == 0
    fetch(half, large)
    assert source.sent == 20 * MB


def test_one_object_may_run_again(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "status:404")
    download = Download(tmp_path, [large], headers={})
    watch = Watch()
    with pytest.raises(DownloadRefused):
        download.run(tell=watch.tell, check=watch.check)
    download.run(tell=watch.tell, check=watch.check)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_a_caller_whose_telling_fails_ends_the_download(source, large, tmp_path):
    def tell(*_):
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError, match="database"):
        Download(tmp_path, [large], headers={}).run(tell=tell, check=lambda: None)
