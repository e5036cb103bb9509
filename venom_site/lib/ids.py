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


def uuid7() -> uuid.UUID:
    """48 bits of milliseconds, 12 bits of counter, 62 random bits."""
    global _last
    now = int(time.time() * 1000) << _COUNTER_BITS
    with _lock:
        _last = tick = max(now, _last + 1)
    milliseconds, counter = tick >> _COUNTER_BITS, tick & 0xFFF
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | counter << 64 | 2 << 62
    return uuid.UUID(int=value | int.from_bytes(os.urandom(8)) >> 2)
