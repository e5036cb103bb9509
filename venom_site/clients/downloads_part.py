"""Who fetches which bytes of a file, what answers say of it, and what is proved.

States: made → open → (fetched from several sides) → whole → proved and in its place.
Wrong bytes or another file at the source lead back to open with nothing written.
Fetching threads write disjoint claims without a lock; every other change is made under
the one lock of the download.
"""

from __future__ import annotations

import time
from pathlib import Path

from venom_site.clients.downloads_answers import Head, named_sha256
from venom_site.clients.downloads_half import HalfFile
from venom_site.clients.downloads_pieces import Piece, RemoteFile
from venom_site.clients.downloads_refused import DownloadRefused, Passing
from venom_site.clients.downloads_spans import (
    added,
    front,
    missing,
    total,
    united,
)

LARGE_BYTES = 64_000_000  # from here on several ranges at once
PIECE_BYTES = 32 * 1024 * 1024
MOST_UNKNOWN_BYTES = 1024**3  # of a file whose size nobody tells
NOTE_BYTES, NOTE_SECONDS = 256 * 1024, 0.002  # at most this is lost by a kill
READ_BYTES = 512 * 1024  # by a proof at once
MOST_ODD_ANSWERS, MOST_CHANGES, MOST_PROOFS, MOST_BEGINNINGS = 3, 3, 2, 8


class Part(HalfFile):
    """`downloads_half.py` with claims, and what answers have said of it so far."""

    def __init__(self, remote: RemoteFile, state: Path, target: Path) -> None:
        super().__init__(remote, state, target)
        self.claims: list[Piece] = []
        self.takes_ranges: bool | None = None
        self.link = ""  # where the last redirect led, good until it is refused
        self.linked: dict[str, str] = {}
        self.hashed = 0
        self.proofs = 0
        self.is_in_proof = False  # taken by who brought the last byte
        self.is_void = False  # begins anew once nobody writes any more
        self.refused_links = self.odd_answers = self.changes = self.beginnings = 0

    # -- what it is now ---------------------------------------------------------

    @property
    def done_bytes(self) -> int:
        return total(self.written)

    @property
    def is_written(self) -> bool:
        return self.size is not None and front(self.written) >= self.size

    @property
    def is_whole(self) -> bool:
        return self.is_written and not self.claims and not self.is_void

    # -- claims, all under the lock ----------------------------------------------

    def claim(self) -> Piece | None:
        """The next bytes to fetch; None when there are none to give away now."""
        if not self.is_open or self.is_void or self.is_written:
            return None
        if self.claims and not self._is_shared():
            return None
        if self.size is None:
            # Nothing says where it would go on, nor whether it is still the same.
            self._refuse_another_beginning()
            self.begin_anew()
            piece = Piece(0, None, 0)
        else:
            taken = united(self.written, [(c.start, c.end or 0) for c in self.claims])
            gaps = missing(taken, 0, self.size)
            if not gaps:
                return None
            start, end = gaps[0]
            if self._is_split() and self.takes_ranges is not False:
                end = min(end, start + PIECE_BYTES)
            piece = Piece(start, end, start)
        self.claims.append(piece)
        return piece

    def _refuse_another_beginning(self) -> None:
        self.beginnings += 1
        if self.beginnings > MOST_BEGINNINGS:
            message = f"{self.remote.path} breaks off again and again."
            raise DownloadRefused("away", message)

    def _is_split(self) -> bool:
        return self.size is not None and self.size >= LARGE_BYTES

    def _is_shared(self) -> bool:
        return self._is_split() and self.takes_ranges is True

    def is_ahead(self, count: int) -> bool:
        """Whether there is so much to prove."""
        return front(self.written) - self.hashed >= count

    def release(self, piece: Piece) -> bool:
        """As `record`, and the piece is free again."""
        is_fresh = self.record(piece)
        self.claims.remove(piece)
        if self.is_void and not self.claims:
            self.begin_anew()
        return is_fresh

    def begin_anew(self) -> None:
        """Nothing that came counts any longer."""
        self.generation += 1
        self.is_void = self.is_in_proof = False
        self.size, self.written, self.hashed = self.remote.size_bytes, (), 0
        self.tag, self.link, self.linked = "", "", {}
        self.takes_ranges = None
        with self.disk:
            self.synced = ()
            self.journal.forget()

    # -- what an answer says, under the lock ---------------------------------------

    def accept(self, piece: Piece, head: Head) -> bool:
        """Whether these bytes are the ones wanted. False gives the piece back."""
        if self.is_void:
            return False
        promised = self.remote.size_bytes
        if promised is not None and head.total not in (None, promised):
            self._odd(f"it has {head.total} bytes in place of {promised}")
        if self._has_changed(head):
            return False
        if self.size is None:
            self._adopt(piece, head.total)
        self.tag = self.tag or head.tag
        if head.is_part and head.start == piece.position:
            self.takes_ranges = True
            return True
        if head.is_part:
            self._odd("it sent another part than was asked for")
        return self._accept_all_of_it(piece)

    def redirected(self, headers: dict[str, str]) -> None:
        """What the source says of the file where it sends us on."""
        self.linked = headers
        named = named_sha256(headers)
        if self.remote.sha256 and named and named != self.remote.sha256:
            raise DownloadRefused(
                "changed",
                f"The source offers another {self.remote.path} than it promised.",
            )

    def without_ranges(self) -> None:
        """It refused a part (416): next time the whole is asked for."""
        if self.takes_ranges is False:
            self._odd("the source refuses even the whole of it")
        self.takes_ranges = False
        raise Passing(f"the source refuses a part of {self.remote.path}")

    def _odd(self, words: str) -> None:
        """Perhaps some proxy's page: asked again a few times."""
        self.odd_answers += 1
        if self.odd_answers >= MOST_ODD_ANSWERS:
            raise DownloadRefused("size", f"{self.remote.path}: {words}.")
        raise Passing(f"{self.remote.path}: {words}")

    def _has_changed(self, head: Head) -> bool:
        is_other = bool(self.tag and head.tag and head.tag != self.tag)
        is_longer = head.total is not None and self.size not in (None, head.total)
        is_promised = head.tag in (self.remote.sha256, self.remote.git_sha1)
        if not (is_other or is_longer) or (is_promised and head.tag):
            return False
        self.changes += 1
        if self.changes > MOST_CHANGES:
            message = f"{self.remote.path} changes at the source again and again."
            raise DownloadRefused("changed", message)
        self.is_void = True
        return True

    def _adopt(self, piece: Piece, size: int | None) -> None:
        """The size that the source has told now."""
        if size is None:
            piece.end = None
            return
        if size > MOST_UNKNOWN_BYTES and not self.remote.digest:
            self._odd("a file of no promised size is larger than 1 GiB")
        self.size = piece.end = size
        with self.disk:
            self._reserve()

    def _accept_all_of_it(self, piece: Piece) -> bool:
        """A server that knows no ranges: one thread reads from the beginning and keeps
        what is missing."""
        if piece.start or (piece.end is not None and piece.end != self.size):
            self.takes_ranges = False
        if any(other is not piece for other in self.claims):
            return False
        piece.start = piece.position = piece.noted = 0
        piece.grown_to = piece.recorded_to = 0
        piece.end = self.size
        return True

    # -- bytes ------------------------------------------------------------------

    def write(self, piece: Piece, chunk: bytes) -> bool:
        """Lay them down, never past the end of the claim. Not under the lock.
        True when it is time to record them."""
        end = MOST_UNKNOWN_BYTES if piece.end is None else piece.end
        room = end - piece.position
        view = memoryview(chunk)[: max(0, room)]
        start = piece.position
        gaps = missing(self.written, start, start + len(view))
        for first, last in gaps:
            self.lay_down(view[first - start : last - start], first)
        piece.position += len(view)
        if gaps:
            piece.grown_to = piece.position
        if piece.end is None and piece.position >= MOST_UNKNOWN_BYTES:
            raise DownloadRefused("size", f"{self.remote.path} does not end.")
        is_much = piece.position - piece.noted >= NOTE_BYTES
        return is_much or time.monotonic() - piece.noted_at >= NOTE_SECONDS

    def record(self, piece: Piece) -> bool:
        """Note what was written since the last time; under the lock. False when it was
        nothing that had not been there before."""
        until = piece.grown_to
        is_fresh = until > piece.recorded_to and not self.is_void
        if is_fresh:
            piece.recorded_to = until
            self.written = added(self.written, piece.start, until)
            self._note()
            self.refused_links = self.odd_answers = 0
        piece.noted, piece.noted_at = piece.position, time.monotonic()
        return is_fresh

    def ended(self, piece: Piece) -> None:
        """The answer is over; of an unknown size this is it. Under the lock."""
        self.record(piece)
        if self.size is None:
            self.size = piece.end = piece.position
        if piece.end is not None and piece.position < piece.end:
            raise Passing(f"the answer for {self.remote.path} was shorter than it said")
