"""Says once that the web process answers; a thread of the supervisor."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

from venom_site.embedded.place import Place

POLL_SECONDS = 0.05
ANSWER_SECONDS = 2.0


def announce_when_ready(
    place: Place, is_stopping: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    """Asks /healthz until it first answers 200, then tells the address."""
    while not is_stopping():
        if _answers(place):
            tell(f"Ready: {place.url}")
            return
        time.sleep(POLL_SECONDS)


def _answers(place: Place) -> bool:
    connection = http.client.HTTPConnection(
        place.near_host, place.port, timeout=ANSWER_SECONDS
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
