"""A download that nothing disturbs: bytes, order, origins, headers and what is told."""

from __future__ import annotations

import pytest

from tests.venom_site.downloading import (
    MB,
    TOKEN,
    fetch,
    lying,
    noise,
    running_source,
)


@pytest.fixture
def source():
    with running_source() as source:
        yield source


def test_files_lie_whole_in_the_folder_and_nothing_else_of_ours(source, tmp_path):
    contents = {
        "config.json": b'{"a": 1}',
        "deep/er/tokenizer.json": noise(300_000),
        "model.safetensors": noise(20 * MB),
    }
    files = [
        source.remote(path, content, is_large=path.endswith("s"))
        for path, content in contents.items()
    ]
    fetch(tmp_path / "model.partial", *files)
    assert lying(tmp_path / "model.partial") == contents
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_each_byte_is_fetched_once(source, tmp_path):
    fetch(tmp_path, source.remote("a.bin", noise(20 * MB)))
    assert source.sent == 20 * MB
    assert len(source.desk.asked) == 1


@pytest.mark.slow
def test_a_large_file_comes_over_several_connections_at_once(source, tmp_path):
    content = noise(100 * MB)
    watch = fetch(tmp_path, source.remote("large.bin", content), connections=4)
    assert (tmp_path / "large.bin").read_bytes() == content
    assert source.sent == len(content)
    ranges = [asked.range for asked in source.desk.asked]
    assert len(ranges) == 3
    assert ranges[0] == "bytes=0-33554431"
    assert watch.told[-1] == ("large.bin", 100 * MB, 100 * MB)


@pytest.mark.slow
def test_one_connection_is_enough(source, tmp_path):
    content = noise(70 * MB)
    small = source.remote("b.json", b"{}", is_large=False)
    fetch(tmp_path, source.remote("a.bin", content), small, connections=1)
    assert lying(tmp_path) == {"a.bin": content, "b.json": b"{}"}


def test_empty_files_are_made_without_asking(source, tmp_path):
    empty = source.remote("__init__.py", b"", is_large=False)
    fetch(tmp_path, empty, source.remote("large-but-empty.bin", b""))
    assert lying(tmp_path) == {"__init__.py": b"", "large-but-empty.bin": b""}
    assert source.desk.asked == []


def test_nothing_to_fetch_is_done_at_once(source, tmp_path):
    fetch(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("fault", ["", "chunked", "no_etag"])
@pytest.mark.parametrize("digest", [True, False])
def test_a_file_of_unknown_size_ends_where_its_answer_ends(
    source, tmp_path, fault, digest
):
    content = noise(9 * MB)
    if fault:
        source.desk.faults.plan("a.bin", fault)
    remote = source.remote("a.bin", content, size=False, digest=digest, is_large=False)
    fetch(tmp_path, remote)
    assert lying(tmp_path) == {"a.bin": content}


def test_many_small_files_come_side_by_side(source, tmp_path):
    contents = {f"part/{n:03}.json": b"%d" % n * 100 for n in range(200)}
    files = [source.remote(p, c, is_large=False) for p, c in contents.items()]
    watch = fetch(tmp_path, *files)
    assert lying(tmp_path) == contents
    assert {path for path, *_ in watch.told} == set(contents)


@pytest.mark.slow
def test_progress_only_grows_and_ends_at_the_size(source, tmp_path):
    source.desk.bytes_per_second = 8 * MB
    watch = fetch(tmp_path, source.remote("a.bin", noise(8 * MB)))
    done = [done for _, done, _ in watch.told]
    assert done == sorted(done)
    assert len(done) >= 4
    assert done[-1] == 8 * MB
    assert {total for *_, total in watch.told} == {8 * MB}
    assert watch.checks >= 5


@pytest.mark.slow
def test_the_token_goes_to_the_source_and_never_to_the_origin_it_redirects_to(
    source, tmp_path
):
    source.use_second_origin()
    content = noise(70 * MB)
    fetch(tmp_path, source.remote("a.bin", content))
    assert lying(tmp_path) == {"a.bin": content}
    for asked in source.desk.asked:
        assert asked.authorization == ("" if asked.is_signed else TOKEN)
    assert any(asked.is_signed for asked in source.desk.asked)


@pytest.mark.slow
def test_the_source_is_asked_once_for_a_link_that_serves_all_ranges(source, tmp_path):
    source.use_second_origin()
    fetch(tmp_path, source.remote("a.bin", noise(100 * MB)))
    assert [asked.is_signed for asked in source.desk.asked].count(False) == 1


def test_a_redirect_on_the_same_origin_keeps_the_token(source, tmp_path):
    source.state.serve("cached.json", b"{}", is_large=False)
    place = f"{source.server.url}/files/cached.json"
    source.desk.faults.plan("a.json", f"redirect:{place}")
    fetch(tmp_path, source.remote("a.json", b"{}", is_large=False))
    assert {asked.authorization for asked in source.desk.asked} == {TOKEN}


def test_what_is_there_already_is_not_fetched_again(source, tmp_path):
    files = [
        source.remote("a.bin", noise(10 * MB)),
        source.remote("b.json", b"{}", is_large=False),
    ]
    fetch(tmp_path, *files)
    before = source.sent
    watch = fetch(tmp_path, *files)
    assert source.sent == before
    assert watch.done == 10 * MB + 2


def test_a_file_that_lies_there_and_is_wrong_is_fetched(source, tmp_path):
    content = noise(10 * MB)
    (tmp_path / "a.bin").write_bytes(bytes(10 * MB))
    (tmp_path / "b.json").write_bytes(b"too long")
    watch = fetch(
        tmp_path,
        source.remote("a.bin", content),
        source.remote("b.json", b"{}", is_large=False),
    )
    assert lying(tmp_path) == {"a.bin": content, "b.json": b"{}"}
    assert watch.words == ["Wrong bytes came for a.bin: it is fetched once again."]
