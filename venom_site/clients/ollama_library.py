"""The wire to ollama.com: its pages, asked politely.

Used by `models_app/providers/ollama_catalogue.py`. There is no API (seen 2026); what
the pages say is read by `ollama_library_pages.py`. One process begins at most three
requests a second to a site, redirects are not followed (a model that moved is
missing), and each call ends within 15 s, the look-up of the host's name included.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from venom_site.clients import ollama_library_words as words
from venom_site.clients.ollama_library_pages import (
    CardPage,
    ModelPage,
    PageChanged,
    TagRow,
    read_cards,
    read_model,
    read_tags,
)
from venom_site.lib import http
from venom_site.lib.errors import WireError
from venom_site.lib.http_answers import seconds_to_wait

TOTAL_SECONDS = 15.0
GAP_SECONDS = 0.3
LARGEST_PAGE = 4 * 1024 * 1024  # all official models were 0.6 MB in 2025
LONGEST_QUERY = 200
_HEADERS = {
    "Accept": "text/html",
    "Accept-Language": "en",  # counts and labels are read in English
    "User-Agent": "Venom",
}


class LibraryRefused(WireError):
    """The site said no. `case` is `missing`, `denied` or `busy`; when busy,
    `wait_seconds` says for how long it wants to be left alone."""

    def __init__(
        self, message: str, *, status: int, case: str, wait: float = 0
    ) -> None:
        reasons = {"missing": "MODEL_NOT_FOUND", "denied": "AUTH_ERROR"}
        super().__init__(
            message,
            permanent=case != "busy",
            status=status,
            reason_code=reasons.get(case, "RATE_LIMIT"),
        )
        self.case = case
        self.wait_seconds = wait


class _Turns:
    """Hands out the moments at which requests to a host may begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def wait(self, host: str, gap_seconds: float, ends: float) -> None:
        """Sleep until it is our turn; `WireError` where that is too late for us."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next.get(host, 0.0))
            if turn >= ends:
                raise WireError(
                    f"Too many questions to {host} are waiting.",
                    reason_code="FALLBACK_TIMEOUT",
                )
            self._next[host] = turn + gap_seconds
        if turn > now:
            time.sleep(turn - now)


_turns = _Turns()


class OllamaLibraryClient:
    """One site; kept between calls, safe to use from several threads.

    Raises `LibraryRefused`, `PageChanged` or another `WireError`; nothing is tried
    twice. `seconds` is the limit of the whole call.
    """

    def __init__(self, base_url: str, *, gap_seconds: float = GAP_SECONDS) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(base_url).netloc
        self._gap_seconds = gap_seconds
        self._wire = http.client(self._base_url)

    def close(self) -> None:
        self._wire.close()

    def url_of(self, name: str) -> str:
        """The address of a model's page, for people."""
        return self._base_url + words.path_of(name)

    def models(
        self,
        *,
        sort: str = "popular",
        user: str = "library",
        query: str = "",
        seconds: float = TOTAL_SECONDS,
    ) -> CardPage:
        """Every model of the library, or of a user, on one page.

        `sort` is `popular` or `newest`, `query` narrows it to names with these letters.
        """
        if user != "library" and not words.is_namespace(user):
            raise _missing(self._host, user)
        asked = {"q": query[:LONGEST_QUERY]} if query else {}
        path = f"/{user}?{urlencode({**asked, 'sort': sort})}"
        return read_cards(self._page(path, seconds), query=query)

    def search(
        self,
        query: str,
        *,
        sort: str = "popular",
        capabilities: Sequence[str] = (),
        page: int = 1,
        seconds: float = TOTAL_SECONDS,
    ) -> CardPage:
        """One page of hits, community models included where there is a query."""
        asked = [("q", query[:LONGEST_QUERY]), ("o", sort)]
        asked += [("c", capability) for capability in capabilities]
        if page > 1:
            asked.append(("page", str(page)))
        html = self._page(f"/search?{urlencode(asked)}", seconds, is_next=page > 1)
        return read_cards(html, query=query, page=page)

    def model(self, name: str, *, seconds: float = TOTAL_SECONDS) -> ModelPage:
        """What the page of `qwen3` or `user/name` says, readme included."""
        return read_model(self._page(self._path(name), seconds), name)

    def tags(self, name: str, *, seconds: float = TOTAL_SECONDS) -> tuple[TagRow, ...]:
        return read_tags(self._page(f"{self._path(name)}/tags", seconds), name)

    def _path(self, name: str) -> str:
        path = words.path_of(name)
        if not name or words.name_in(path) != name:
            raise _missing(self._host, name)
        return path

    def _page(self, path: str, seconds: float, *, is_next: bool = False) -> str:
        ends = time.monotonic() + seconds
        _turns.wait(self._host, self._gap_seconds, ends)
        # The site gives the page asked for to its own script only, else the first.
        headers = _HEADERS | ({"HX-Request": "true"} if is_next else {})
        left = max(0.1, ends - time.monotonic())
        reply = http.within(
            left,
            self._base_url,
            lambda: http.ask_reply(
                self._wire,
                path,
                headers=headers,
                total_seconds=left,
                limit_bytes=LARGEST_PAGE,
            ),
        )
        if reply.status != 200:
            raise self._refusal(path, reply)
        return reply.body.decode("utf-8", "replace").replace("\0", "")

    def _refusal(self, path: str, reply: http.Reply) -> WireError:
        status, place = reply.status, path.partition("?")[0]
        if status in {404, 410} or 300 <= status < 400:
            return _missing(self._host, place, status)
        if status == 429 or (status == 503 and "retry-after" in reply.headers):
            wait = seconds_to_wait(reply.headers)
            message = f"{self._host} asks to be left alone for {wait:.0f} s."
            return LibraryRefused(message, status=status, case="busy", wait=wait)
        if status in {401, 403, 451}:
            message = f"{self._host} answered {status} to {place}."
            return LibraryRefused(message, status=status, case="denied")
        if status < 300:
            return PageChanged(f"{self._host} answered {status}.", permanent=True)
        return WireError(
            f"{self._host} answered {status}.", permanent=status < 500, status=status
        )


def _missing(host: str, what: str, status: int = 404) -> LibraryRefused:
    message = f"{host} has nothing at {what}."
    return LibraryRefused(message, status=status, case="missing")
