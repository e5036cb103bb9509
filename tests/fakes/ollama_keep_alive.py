"""How Ollama reads `keep_alive`: seconds or a Go duration, negative for ever."""

import re
from datetime import timedelta
from typing import Any

from tests.fakes.neighbour import Refusal

FOREVER = timedelta(days=292 * 365)  # Go's longest duration, as the real one shows
GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
GO_PIECE = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_keep_alive(given: Any) -> timedelta | None:
    """Return how long a model stays; None where the request does not say."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise Refusal(400, f"Unsupported type: '{type(given).__name__}'")
    seconds = go_seconds(given) if isinstance(given, str) else float(given)
    longest = FOREVER.total_seconds()
    return FOREVER if seconds < 0 else timedelta(seconds=min(seconds, longest))


def go_seconds(text: str) -> float:
    """Return the seconds of a Go duration such as `1h30m`, or refuse it as Go does."""
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    if bare == "0":
        return 0
    pieces = GO_PIECE.findall(bare)
    if not pieces or "".join(map("".join, pieces)) != bare:
        unitless = bare.replace(".", "", 1).isdigit()
        complaint = "missing unit in duration" if unitless else "invalid duration"
        raise Refusal(400, f'time: {complaint} "{text}"')
    return sign * sum(float(number) * GO_UNITS[unit] for number, unit in pieces)
