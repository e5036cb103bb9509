"""The lock file of `up`: one holder, and an honest word about the last one."""

import pytest

from venom_site.embedded.run_lock import Holder, RunLock

HOLDER = Holder(pid=1234, url="http://127.0.0.1:8000", started_at="2026-11-21T00:00")


def test_only_one_holds_the_lock_and_the_other_reads_who(tmp_path):
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    assert first.acquire()
    first.write(HOLDER)
    assert not second.acquire()
    assert second.read() == HOLDER
    assert second.is_held()
    first.release()
    assert not second.is_held()
    assert second.acquire()
    second.release()


def test_an_orderly_end_leaves_no_word_and_a_kill_does(tmp_path):
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.write(HOLDER)
    assert RunLock(tmp_path).read() == HOLDER
    lock.release()
    assert RunLock(tmp_path).read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_lock_file_with_other_words_names_nobody(tmp_path, text):
    lock = RunLock(tmp_path)
    lock.path.parent.mkdir()
    lock.path.write_text(text)
    assert lock.read() is None


def test_where_there_is_no_file_nothing_is_held(tmp_path):
    assert not RunLock(tmp_path).is_held()
