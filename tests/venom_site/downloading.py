"""What tests of the downloader share: a source of files and one call that fetches."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager

from tests.fakes.file_server import FilesState, build_files
from tests.fakes.server import PracticeServer
from venom_site.clients.downloads import Download, RemoteFile

MB = 1_000_000
TOKEN = "Bearer hf_practice"
LOOK_UP, LOOK_UP_SECONDS = "download-name", 30


def noise(size, seed=1):
    """Bytes that no two places share."""
    return random.Random(seed).randbytes(size)


class Source:
    """A practice file server, with or without a second origin, and its promises."""

    def __init__(self):
        self.state = FilesState()
        self.desk = self.state.desk
        self.server = PracticeServer(build_files, self.state)
        self.second = PracticeServer(build_files, self.state)

    def use_second_origin(self):
        self.second.start()
        self.desk.signed_base = self.second.url

    def remote(self, path, content=None, *, size=True, digest=True, is_large=True):
        """The promise for a file; with `content` it is served from now on."""
        if content is not None:
            self.state.serve(path, content, is_large=is_large)
        served = self.state.files[path]
        return RemoteFile(
            path=path,
            url=f"{self.server.url}/files/{path}",
            size_bytes=served.size_bytes if size else None,
            sha256=served.sha256 if digest and is_large else "",
            git_sha1=served.git_sha1 if digest else "",
        )

    @property
    def sent(self):
        return sum(self.desk.sent_bytes.values())


@contextmanager
def running_source():
    source = Source()
    source.server.start()
    try:
        yield source
    finally:
        source.server.stop()
        source.second.stop()


class Watch:
    """What a caller is told; `check` raises once so much is there, or this is true."""

    def __init__(self, stop_at=None, stop_if=lambda: False):
        self.told, self.verified, self.words = [], [], []
        self.checks = 0
        self.stop_at, self.stop_if = stop_at, stop_if

    def tell(self, path, done, total):
        self.told.append((path, done, total))

    def check(self):
        self.checks += 1
        is_enough = self.stop_at is not None and self.done >= self.stop_at
        if is_enough or self.stop_if():
            raise Stopped

    def verifying(self, path, read, total):
        self.verified.append((path, read, total))

    @property
    def done(self):
        return sum({path: done for path, done, _ in self.told}.values())


class Stopped(Exception):
    """The caller has had enough."""


def fetch(folder, *files, watch=None, **options):
    """Fetch all; returns what was told. No thread is left, but one that looks up a
    name: it cannot be ended, and ends by itself."""
    watch = watch or Watch()
    options = {"headers": {"Authorization": TOKEN}, **options}
    before = set(threading.enumerate())
    try:
        Download(folder, files, **options).run(
            tell=watch.tell,
            check=watch.check,
            verifying=watch.verifying,
            say=watch.words.append,
        )
    finally:
        watch.threads_left = threads_left(before)
        assert watch.threads_left == []
    return watch


def threads_left(before):
    """Names of the downloader's threads that are there, without those that look up a
    name; those are waited for."""
    left = set(threading.enumerate()) - before
    for each in left:
        if each.name == LOOK_UP:
            each.join(LOOK_UP_SECONDS)
    return [
        each.name
        for each in left
        if each.name.startswith("download-")
        and (each.name != LOOK_UP or each.is_alive())
    ]


def lying(folder):
    """Every file of a folder by its path, ours included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
