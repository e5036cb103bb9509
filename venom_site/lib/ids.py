"""UUIDv7 (RFC 9562 §5.7): ids that sort by the time they were made.

Used as primary key of every row of ours. Within one process the ids are strictly
increasing, also within a millisecond and when the wall clock steps back.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0
_COUNTER_BITS = 12
_RANDOM_BYTES = 8
# Read in blocks: each read lets another thread in and then waits for it, which under
# load costs a request more than all the rest of its id.
_BLOCK_BYTES = 4096
_block = b""
_taken = 0


def uuid7() -> uuid.UUID:
    """48 bits of milliseconds, 12 bits of counter, 62 random bits."""
    global _last
    now = int(time.time() * 1000) << _COUNTER_BITS
    with _lock:
        _last = tick = max(now, _last + 1)
        random = _take_random()
    milliseconds, counter = tick >> _COUNTER_BITS, tick & 0xFFF
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | counter << 64 | 2 << 62
    return uuid.UUID(int=value | int.from_bytes(random) >> 2)


def _take_random() -> bytes:
    """The next bytes, each handed out once; the caller holds the lock."""
    global _block, _taken
    if _taken == len(_block):
        _block, _taken = os.urandom(_BLOCK_BYTES), 0
    begin, _taken = _taken, _taken + _RANDOM_BYTES
    return _block[begin:_taken]


def _forget_block() -> None:
    """A forked child must not hand out what its parent does."""
    global _block, _taken
    _block, _taken = b"", 0


os.register_at_fork(after_in_child=_forget_block)
