"""Pages of one test, and everything wrong that was seen on them.

Fails a test for console errors, broken policies, uncaught exceptions and requests to
another host. What a test provokes itself it forgives by a word of the message.
"""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 15_000


class Eyes:
    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self.url = url
        self._contexts: list[BrowserContext] = []
        self._seen: list[str] = []
        self._forgiven: list[str] = []

    def open(self, **choices) -> Page:
        """A page of a browser of its own: nothing is shared but the house."""
        context = self._browser.new_context(
            base_url=self.url, **({"viewport": WIDE} | choices)
        )
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", self._console)
        context.on(
            "weberror", lambda error: self._seen.append(f"script: {error.error}")
        )
        context.on("request", self._request)
        self._contexts.append(context)
        return context.new_page()

    def forgive(self, *words: str) -> None:
        self._forgiven.extend(words)

    @property
    def faults(self) -> list[str]:
        return [
            fault
            for fault in self._seen
            if not any(word in fault for word in self._forgiven)
        ]

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._seen.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self._seen.append(f"foreign request: {request.url}")
