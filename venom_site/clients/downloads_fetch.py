"""One fetching thread: takes a piece, asks for it, lays it down, until all is there.

Redirects are followed here by hand. What was given for the source (its token) goes to
the source's own origin only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from venom_site.clients.downloads_answers import (
    EXPIRED,
    REDIRECTS,
    host_of,
    next_place,
    origin_of,
    read_head,
    refusal,
)
from venom_site.clients.downloads_part import Part
from venom_site.clients.downloads_pieces import Piece
from venom_site.clients.downloads_queue import Queue
from venom_site.clients.downloads_refused import DownloadRefused, Passing
from venom_site.clients.downloads_wire import Answer, Wire

MOST_REDIRECTS = 5
MOST_REFUSED_LINKS = 3
USER_AGENT = "venom"


class Fetcher:
    """`opened` is called with each file that this thread has opened, `whole` with
    each small one of which it has brought the last byte."""

    def __init__(
        self,
        queue: Queue,
        headers: Mapping[str, str],
        opened: Callable[[Part], None],
        whole: Callable[[Part], object],
    ) -> None:
        self.wire = Wire()
        self._queue, self._headers = queue, dict(headers)
        self._opened, self._whole = opened, whole
        self._attempt = 0

    def work(self) -> None:
        try:
            while taken := self._queue.take():
                self._do(*taken)
        finally:
            self.wire.close()

    def _do(self, part: Part, piece: Piece | None) -> None:
        if piece is None:
            part.open()
            self._opened(part)
            self._prove_small(part)
            with self._queue.lock:
                self._queue.wake()
            return
        trouble = self._fetched(part, piece)
        self._prove_small(part)
        if trouble and not self._queue.over.is_set():
            self._queue.pause(trouble, self._attempt)
            self._attempt += 1

    def _prove_small(self, part: Part) -> None:
        with self._queue.lock:
            is_mine = part.is_whole and not (part.is_followed or part.is_in_proof)
            part.is_in_proof = part.is_in_proof or is_mine
        if is_mine:
            self._whole(part)

    def _fetched(self, part: Part, piece: Piece) -> Passing | None:
        """What went wrong and may pass. The piece is given back in any case."""
        try:
            self._queue.be_polite()
            self._fetch(part, piece)
        except Passing as trouble:
            return trouble
        except DownloadRefused as error:
            self._queue.fail(error)  # before the piece is free for another thread
            raise
        finally:
            if piece.grown_to:
                self._attempt = 0
            self._queue.give_back(part, piece)
        return None

    def _fetch(self, part: Part, piece: Piece) -> None:
        answer = self._ask(part, piece)
        try:
            if answer.status == 416:
                with self._queue.lock:
                    part.without_ranges()
            head = read_head(answer.status, answer.headers, part.linked)
            with self._queue.lock:
                is_ours = part.accept(piece, head)
                self._queue.wake()
            if is_ours:
                self._read(part, piece, answer)
            elif part.is_void:
                self._queue.say(f"{part.remote.path} has changed: it begins anew.")
        finally:
            answer.close()

    def _read(self, part: Part, piece: Piece, answer: Answer) -> None:
        for chunk in answer.chunks():
            if self._queue.over.is_set() or part.is_void:
                return
            if part.write(piece, chunk):
                self._queue.record(part, piece)
            if piece.end is not None and piece.position >= piece.end:
                break
        with self._queue.lock:
            part.ended(piece)

    # -- the way to the bytes -------------------------------------------------------

    def _ask(self, part: Part, piece: Piece) -> Answer:
        """The answer at the end of all redirects; refusals are raised."""
        first = next_place(part.remote.url, part.remote.url)
        url, is_remembered = part.link or first, bool(part.link)
        home = origin_of(first)
        for _ in range(MOST_REDIRECTS + 1):
            is_home = origin_of(url) == home
            answer = self.wire.get(url, self._headers_for(part, piece, is_home=is_home))
            if answer.status in REDIRECTS:
                url = self._followed(part, url, answer)
                continue
            if answer.status < 300 or answer.status == 416:
                with self._queue.lock:
                    part.link = "" if url == first else url
                return answer
            answer.drain()
            answer.close()
            if is_remembered or (not is_home and answer.status in EXPIRED):
                self._link_refused(part, answer, url)
            raise refusal(answer.status, answer.headers, host_of(url))
        raise DownloadRefused(
            "away",
            f"{host_of(part.remote.url)} redirects more than {MOST_REDIRECTS} times.",
            permanent=True,
        )

    def _headers_for(
        self, part: Part, piece: Piece, *, is_home: bool
    ) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, **(self._headers if is_home else {})}
        is_all = piece.position == 0 and piece.end in (None, part.size)
        if not is_all and part.takes_ranges is not False:
            last = "" if piece.end is None else piece.end - 1
            headers["Range"] = f"bytes={piece.position}-{last}"
        return headers

    def _followed(self, part: Part, url: str, answer: Answer) -> str:
        answer.drain()
        answer.close()
        if "x-linked-etag" in answer.headers:
            with self._queue.lock:
                part.redirected(answer.headers)
        return next_place(url, answer.headers.get("location", ""))

    def _link_refused(self, part: Part, answer: Answer, url: str) -> None:
        """A signed link that has expired: the source is asked for a new one."""
        with self._queue.lock:
            part.link = ""
            part.refused_links += 1
            count = part.refused_links
        if answer.status not in EXPIRED:
            return
        if count <= MOST_REFUSED_LINKS:
            raise Passing(f"the link of {host_of(url)} has expired")
