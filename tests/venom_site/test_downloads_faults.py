"""A download from a source that breaks, lies, refuses, moves or falls silent."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

import pytest

from tests.fakes.raw import RawServer, head
from tests.fakes.tls import practice_certificate, tunnel
from tests.fakes.waiting import wait_until
from tests.venom_site.downloading import (
    LOOK_UP,
    MB,
    Stopped,
    Watch,
    fetch,
    lying,
    noise,
    running_source,
    threads_left,
)
from venom_site.clients import downloads_wire
from venom_site.clients.downloads import Download, DownloadRefused, RemoteFile

CONTENT = noise(3 * MB, seed=2)


@pytest.fixture
def source():
    with running_source() as source:
        yield source


@pytest.fixture
def large(source):
    return source.remote("a.bin", CONTENT)


def refused(folder, *files, watch=None, **options):
    with pytest.raises(DownloadRefused) as caught:
        fetch(folder, *files, watch=watch, **options)
    return caught.value


def test_a_name_with_several_addresses_is_tried_at_each(source, large, tmp_path):
    port = source.server.url.rpartition(":")[2]
    fetch(tmp_path, replace(large, url=f"http://localhost:{port}/files/a.bin"))
    assert lying(tmp_path) == {"a.bin": CONTENT}


# -- what passes -----------------------------------------------------------------


def test_a_cut_answer_goes_on_where_it_broke_off(source, large, tmp_path):
    for _ in range(3):
        source.desk.faults.plan("a.bin", f"cut:{MB // 2}")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}
    assert source.sent == len(CONTENT)
    starts = [asked.range for asked in source.desk.asked]
    assert starts == ["", *(f"bytes={n * MB // 2}-2999999" for n in (1, 2, 3))]


@pytest.mark.parametrize("digest", [True, False])
def test_a_server_without_ranges_is_read_from_the_beginning(source, tmp_path, digest):
    remote = source.remote("a.bin", CONTENT, digest=digest)
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "whole", times=0)
    watch = fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": CONTENT}
    assert source.sent == len(CONTENT) + MB
    done = [done for _, done, _ in watch.told]
    assert done == sorted(done)


@pytest.mark.slow
def test_a_large_file_from_a_server_without_ranges_comes_in_one_stream(
    source, tmp_path
):
    content = noise(70 * MB)
    source.desk.faults.plan("a.bin", "whole", times=0)
    fetch(tmp_path, source.remote("a.bin", content))
    assert lying(tmp_path) == {"a.bin": content}
    assert len(source.desk.asked) == 1


@pytest.mark.parametrize(
    "fault", ["reset", "status:500", "status:502", "status:503", "status:408"]
)
@pytest.mark.slow
def test_a_source_that_fails_for_a_moment_is_asked_again(
    source, large, tmp_path, fault
):
    source.desk.faults.plan("a.bin", fault, times=2)
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["status:429:1", "status:503:1", "status:429:t=0"])
def test_a_wish_to_wait_is_kept_by_all_connections(source, tmp_path, fault):
    files = [source.remote(f"{n}.bin", noise(1000, seed=n)) for n in range(8)]
    source.desk.faults.plan("0.bin", fault)
    began = time.monotonic()
    fetch(tmp_path, *files, connections=1)
    assert time.monotonic() - began >= 0.9
    assert len(lying(tmp_path)) == 8


@pytest.mark.slow
def test_a_source_that_is_gone_for_a_while_is_waited_for(source, tmp_path):
    source.desk.bytes_per_second = 2 * MB
    watch = Watch()
    remote = source.remote("a.bin", CONTENT)

    def go_and_come_back():
        wait_until(lambda: watch.done > MB, seconds=30)
        source.server.stop()
        time.sleep(1)
        source.server.start()

    absence = threading.Thread(target=go_and_come_back)
    absence.start()
    fetch(tmp_path, remote, watch=watch)
    absence.join()
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_an_expired_link_is_asked_for_anew_and_the_file_goes_on(source, tmp_path):
    source.use_second_origin()
    remote = source.remote("a.bin", CONTENT)
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "status:403")
    source.desk.faults.plan("a.bin", f"cut:{MB // 2}")
    source.desk.faults.plan("a.bin", "status:403")
    fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": CONTENT}
    assert source.sent == len(CONTENT)


@pytest.mark.slow
def test_links_may_expire_at_any_time_while_several_connections_read(source, tmp_path):
    source.use_second_origin()
    content = noise(70 * MB)
    remote = source.remote("a.bin", content)
    watch = Watch()
    source.desk.bytes_per_second = 50 * MB

    def expire():
        for share in range(1, 6):
            wait_until(lambda share=share: watch.done > share * 10 * MB, seconds=60)
            source.desk.expire_links()

    expiring = threading.Thread(target=expire)
    expiring.start()
    fetch(tmp_path, remote, watch=watch)
    expiring.join()
    assert lying(tmp_path) == {"a.bin": content}


def test_wrong_bytes_are_fetched_once_again(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "wrong:1500000")
    watch = fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}
    assert watch.words == ["Wrong bytes came for a.bin: it is fetched once again."]


def test_wrong_bytes_of_a_git_file_are_found_too(source, tmp_path):
    remote = source.remote("config.json", b'{"a": 1}', is_large=False)
    source.desk.faults.plan("config.json", "wrong:3")
    fetch(tmp_path, remote)
    assert lying(tmp_path) == {"config.json": b'{"a": 1}'}


@pytest.mark.slow
def test_wrong_bytes_in_a_file_of_several_ranges_are_fetched_once_again(
    source, tmp_path
):
    content = noise(70 * MB)
    source.desk.faults.plan("a.bin", f"wrong:{50 * MB}")
    fetch(tmp_path, source.remote("a.bin", content))
    assert lying(tmp_path) == {"a.bin": content}


def test_a_content_length_too_long_for_a_part_writes_no_byte_too_many(
    source, large, tmp_path
):
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "swollen:500000")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_a_part_that_is_shorter_than_it_should_be_is_gone_on_with(
    source, large, tmp_path
):
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "short:1000")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_bytes_after_the_end_of_an_endless_answer_are_left(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "chunked:400000")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_another_part_than_asked_for_is_not_taken(source, large, tmp_path):
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "wrong_range:7")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_a_part_that_is_refused_is_asked_for_as_a_whole(source, large, tmp_path):
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "status:416")
    fetch(tmp_path, large)
    assert lying(tmp_path) == {"a.bin": CONTENT}


@pytest.mark.slow
def test_a_silent_connection_does_not_hold_up_the_others(source, tmp_path):
    files = [source.remote(f"{n}.bin", noise(MB, seed=n)) for n in range(4)]
    source.desk.faults.plan("0.bin", "stall:1000")
    watch = Watch()
    watch.stop_at = 3 * MB
    with pytest.raises(Stopped):
        fetch(tmp_path, *files, watch=watch)
    assert sorted(p.name for p in tmp_path.glob("*.bin")) == [
        "1.bin",
        "2.bin",
        "3.bin",
    ]


# -- what changes ----------------------------------------------------------------


@pytest.mark.parametrize("size", [True, False])
def test_a_file_that_changes_in_the_middle_begins_anew_and_says_so(
    source, tmp_path, size
):
    newer = noise(len(CONTENT), seed=3)
    source.remote("a.bin", CONTENT, is_large=False)
    source.desk.faults.plan("a.bin", f"stall:{MB}")
    old = source.remote("a.bin", digest=False, size=size)
    with pytest.raises(Stopped):
        fetch(tmp_path, old, watch=Watch(stop_at=MB // 2))
    source.state.serve("a.bin", newer, is_large=False)
    watch = fetch(tmp_path, old)
    assert lying(tmp_path) == {"a.bin": newer}
    if size:
        assert watch.words == ["a.bin has changed: it begins anew."]


def test_a_file_that_changes_all_the_time_is_given_up(source, tmp_path):
    remote = source.remote("a.bin", CONTENT, digest=False)
    for number in range(20):
        source.desk.faults.plan("a.bin", f"cut:{MB // 4}")
        source.desk.faults.plan("a.bin", f"etag:{number}")
    # A cut answer carries the true ETag, the next one another.
    assert refused(tmp_path, remote).case == "changed"


def test_another_content_than_promised_is_refused_before_its_bytes(source, tmp_path):
    source.use_second_origin()
    remote = source.remote("a.bin", CONTENT)
    source.state.serve("a.bin", noise(len(CONTENT), seed=4))
    error = refused(tmp_path, remote)
    assert (error.case, error.permanent) == ("changed", True)
    assert [asked.is_signed for asked in source.desk.asked] == [False]


def test_another_etag_of_another_store_does_not_matter_when_the_hub_names_the_content(
    source, tmp_path
):
    source.use_second_origin()
    remote = source.remote("a.bin", CONTENT)
    source.desk.faults.plan("a.bin", f"cut:{MB}")
    source.desk.faults.plan("a.bin", "etag:somewhere-else")
    watch = fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": CONTENT}
    assert watch.words == []
    assert source.sent == len(CONTENT)


# -- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "case", "word"),
    [
        ("status:401", "access", "401"),
        ("status:403:GatedRepo", "access", "GatedRepo"),
        ("status:404:EntryNotFound", "missing", "EntryNotFound"),
        ("status:410", "missing", "410"),
        ("status:400", "away", "400"),
        ("redirect_loop", "away", "redirects more than 5"),
        ("redirect:ftp://127.0.0.1/a.bin", "away", "not followed"),
        ("redirect:file:///etc/passwd", "away", "not followed"),
        ("redirect:http://[bad", "away", "not followed"),
        ("redirect:http://127.0.0.1:99999/", "away", "not followed"),
    ],
)
def test_a_refusal_is_final_at_once(source, large, tmp_path, fault, case, word):
    source.desk.faults.plan("a.bin", fault, times=0)
    error = refused(tmp_path, large)
    assert (error.case, error.permanent) == (case, True)
    assert word in str(error)
    assert "a.bin" not in [p.name for p in tmp_path.iterdir()]


def test_a_link_that_is_refused_however_fresh_is_no_access(source, tmp_path):
    source.use_second_origin()
    remote = source.remote("a.bin", CONTENT)
    source.desk.faults.plan("a.bin", "status:403", times=0)
    error = refused(tmp_path, remote)
    assert (error.case, error.status) == ("access", 403)
    assert "Signature" not in str(error)


def test_a_refusal_of_the_source_is_told_with_two_origins_too(source, tmp_path):
    source.use_second_origin()
    remote = source.remote("a.bin", CONTENT)
    source.desk.faults.plan("resolve a.bin", "status:401:GatedRepo")
    assert refused(tmp_path, remote).case == "access"


def test_bytes_that_are_wrong_twice_are_refused(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "wrong:1000", times=0)
    error = refused(tmp_path, large)
    assert (error.case, error.permanent) == ("digest", True)
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("fault", ["long:1000", "short:1000", "swollen:1000"])
def test_a_lying_length_is_refused_and_nothing_is_written(
    source, large, tmp_path, fault
):
    source.desk.faults.plan("a.bin", fault, times=0)
    error = refused(tmp_path, large)
    assert (error.case, error.permanent) == ("size", True)
    assert not (tmp_path / "a.bin").exists()


def test_a_lying_total_of_a_part_is_refused(source, tmp_path):
    remote = source.remote("a.bin", noise(65 * MB))
    source.desk.faults.plan("a.bin", "wrong_total:5", times=0)
    assert refused(tmp_path, remote).case == "size"


@pytest.mark.slow
def test_a_source_that_only_fails_is_away_after_the_patience(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "status:500", times=0)
    error = refused(tmp_path, large, patience_seconds=1)
    assert (error.case, error.permanent) == ("away", False)
    assert "500" in str(error)


@pytest.mark.slow
def test_nobody_there_is_away_after_the_patience(source, large, tmp_path):
    source.server.stop()
    error = refused(tmp_path, large, patience_seconds=1)
    assert (error.case, error.reason_code) == ("away", "OFFLINE")
    assert "refused" in str(error)


def test_a_wish_to_wait_longer_than_the_patience_is_passed_on(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "status:429:120")
    error = refused(tmp_path, large)
    assert (error.case, error.wait_seconds) == ("busy", 120)
    assert not error.permanent


def test_a_packed_answer_is_not_taken_for_the_file(tmp_path):
    packed = head("application/octet-stream", 5).replace(
        b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"
    )
    with RawServer([packed, b"12345"]) as server:
        remote = RemoteFile("a", f"{server.url}/a", 5)
        error = refused(tmp_path, remote, patience_seconds=0.5)
    assert error.case == "away"
    assert "packed" in str(error)


def test_an_answer_that_ends_with_its_connection_is_taken_by_its_size(tmp_path):
    with RawServer([head("application/octet-stream"), b"12345"]) as server:
        fetch(tmp_path, RemoteFile("a", f"{server.url}/a", 5))
    assert lying(tmp_path) == {"a": b"12345"}


@pytest.mark.slow
def test_garbage_in_place_of_http_is_away(tmp_path):
    with RawServer([b"SSH-2.0-OpenSSH_9.6\r\n"]) as server:
        remote = RemoteFile("a", f"{server.url}/a", 5)
        assert refused(tmp_path, remote, patience_seconds=0.5).case == "away"


@pytest.mark.slow
def test_a_server_that_never_gets_further_is_given_up(source, tmp_path):
    """It knows no ranges and breaks off at the same place: bytes come, none is new."""
    remote = source.remote("a.bin", CONTENT)
    source.desk.faults.plan("a.bin", f"stall:{MB}")
    with pytest.raises(Stopped):
        fetch(tmp_path, remote, watch=Watch(stop_at=MB // 2))
    with RawServer([head("a/b", len(CONTENT)), CONTENT[: MB // 2]]) as server:
        stuck = RemoteFile("a.bin", f"{server.url}/a", len(CONTENT), remote.sha256)
        assert refused(tmp_path, stuck, patience_seconds=1).case == "away"


@pytest.mark.slow
def test_a_file_of_unknown_size_that_always_breaks_off_is_given_up(tmp_path):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"
    with RawServer([chunked]) as server:
        remote = RemoteFile("a", f"{server.url}/a", None)
        error = refused(tmp_path, remote)
    assert error.case == "away"
    assert "again and again" in str(error)


# -- encrypted --------------------------------------------------------------------


@pytest.fixture
def encrypted(source, monkeypatch, tmp_path_factory):
    """The source behind TLS with a certificate of its own making."""
    context, trust = practice_certificate(tmp_path_factory.mktemp("tls"))
    with tunnel(context, source.server.url) as url:
        yield url, trust


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(
    large, encrypted, tmp_path
):
    url, _ = encrypted
    error = refused(tmp_path, replace(large, url=f"{url}/files/a.bin"))
    assert (error.case, error.permanent) == ("away", True)
    assert "certificate" in str(error)


def test_bytes_come_encrypted_as_well(large, encrypted, tmp_path, monkeypatch):
    url, trust = encrypted
    monkeypatch.setattr(downloads_wire, "_trust", lambda: trust)
    fetch(tmp_path, replace(large, url=f"{url}/files/a.bin"))
    assert lying(tmp_path) == {"a.bin": CONTENT}


def test_it_ends_in_two_seconds_while_it_reads_encrypted_bytes(
    source, large, encrypted, tmp_path, monkeypatch
):
    url, trust = encrypted
    monkeypatch.setattr(downloads_wire, "_trust", lambda: trust)
    source.desk.faults.plan("a.bin", f"stall:{MB}")
    watch = Watch()
    remote = replace(large, url=f"{url}/files/a.bin")
    taken = ended_in_time(tmp_path, remote, watch, lambda: watch.done > MB // 2)
    assert taken < 2


def test_http_after_https_is_not_followed(
    source, large, encrypted, tmp_path, monkeypatch
):
    url, trust = encrypted
    monkeypatch.setattr(downloads_wire, "_trust", lambda: trust)
    source.desk.faults.plan("a.bin", f"redirect:{source.server.url}/files/a.bin")
    error = refused(tmp_path, replace(large, url=f"{url}/files/a.bin"))
    assert "not followed" in str(error)


# -- what can be ended ---------------------------------------------------------------


def ended_in_time(folder, remote, watch, is_time):
    """Seconds from the moment in which the caller has had enough to the end."""
    asked_at = []

    def enough():
        wait_until(is_time, seconds=30)
        asked_at.append(time.monotonic())
        watch.stop_at = 0

    asking = threading.Thread(target=enough)
    asking.start()
    with pytest.raises(Stopped):
        fetch(folder, remote, watch=watch)
    asking.join()
    taken = time.monotonic() - asked_at[0]
    assert watch.threads_left == []
    return taken


@pytest.mark.parametrize("fault", ["stall:100000", "slow_headers:60", "throttle:50000"])
def test_it_ends_in_two_seconds_whatever_the_network_does(source, tmp_path, fault):
    source.desk.faults.plan("a.bin", fault, times=0)
    remote, watch = source.remote("a.bin", CONTENT), Watch()
    taken = ended_in_time(tmp_path, remote, watch, lambda: source.desk.asked)
    assert taken < 2
    wait_until(lambda: not source.state.in_flight, seconds=10)


def test_it_ends_in_two_seconds_while_it_connects(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # A listener whose queue is full lets nobody in and says nothing.
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        watch = Watch()
        remote = RemoteFile("a", f"http://127.0.0.1:{address[1]}/a", 5)
        taken = ended_in_time(tmp_path, remote, watch, lambda: watch.checks > 4)
        for each in waiting:
            each.close()
    assert taken < 2


def test_it_ends_in_two_seconds_while_it_shakes_hands(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        watch = Watch()
        port = silent.getsockname()[1]
        remote = RemoteFile("a", f"https://127.0.0.1:{port}/a", 5)
        taken = ended_in_time(tmp_path, remote, watch, lambda: watch.checks > 4)
    assert taken < 2


def test_it_ends_in_two_seconds_while_it_waits_as_it_was_told(source, large, tmp_path):
    source.desk.faults.plan("a.bin", "status:429:30")
    watch = Watch()
    taken = ended_in_time(tmp_path, large, watch, lambda: source.desk.asked)
    assert taken < 2


def test_it_ends_while_a_name_is_looked_up(tmp_path, monkeypatch):
    """The look-up cannot be ended: its thread is left alone and ends by itself."""
    answered = threading.Event()
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and []
    )
    before, watch = set(threading.enumerate()), Watch(stop_if=lambda: watch.checks > 4)
    remote = RemoteFile("a", "http://models.example/a", 5)
    with pytest.raises(Stopped):
        Download(tmp_path, [remote], headers={}).run(tell=watch.tell, check=watch.check)
    left = {each.name for each in set(threading.enumerate()) - before}
    answered.set()
    assert left == {LOOK_UP}
    assert threads_left(before) == []
