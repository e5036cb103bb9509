"""Practice news on loopback: a blog's feed, papers as JSON and as the page of a month.

    python -m tests.fakes.news --port 0

Facts sheet of Hugging Face, sections 3, 8 and 9. `state.trick` makes it answer what no
fault of the board can: see `TRICKS`.
"""

import argparse
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Any

from aiohttp import web

from tests.fakes import news_written
from tests.fakes.control import add_control_routes
from tests.fakes.neighbour import NeighbourState, Refusal, build_application
from tests.fakes.news_written import Written
from tests.fakes.server import run_until_stopped

FEED, PAPERS = "/blog/feed.xml", "/api/daily_papers"
TRICKS = (
    "huge",  # 10 MB of it
    "bomb",  # entities that would grow to gigabytes
    "cp1250",  # another charset than the one it declares
    "empty",  # no item
    "changed",  # items under other names
    "moved",  # a redirect
    "gone",  # no JSON, only the page
    "all_gone",  # neither
)
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + ']><rss version="2.0"><channel><item><title>&j;</title>'
    "<link>https://x.example/</link></item></channel></rss>"
)


@dataclass(kw_only=True)
class NewsState(NeighbourState):
    """What was written, what it was asked and which trick it plays."""

    version: str = "2026"
    trick: str = ""
    empty_months: set[str] = field(default_factory=set)
    retry_after: str = "120"
    extra_posts: list[Written] = field(default_factory=list)

    def model_names(self) -> list[str]:
        return []

    def add_model(self, name: str) -> None:
        """No models here."""

    remove_model = add_model

    def posts(self) -> list[Written]:
        return [*self.extra_posts, *news_written.posts(datetime.now(UTC))]

    def papers(self, month: str) -> list[dict[str, Any]]:
        if month in self.empty_months:
            return []
        return news_written.papers(month, datetime.now(UTC))


class NewsDialect:
    """The refusals of the Hub: a JSON object with `error`."""

    def __init__(self, state: NewsState) -> None:
        self._state = state

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        headers = limits("api", 0 if refusal.status == 429 else 499)
        if refusal.status in (429, 503) and self._state.retry_after:
            headers["Retry-After"] = self._state.retry_after
        body = {"error": refusal.message}
        return web.json_response(body, status=refusal.status, headers=headers)

    def fault(self, request: web.Request, status: int, model: str) -> web.Response:
        return self.refuse(request, Refusal(status, f"practice fault {status}"))

    def not_found(self, request: web.Request) -> web.Response:
        return self.refuse(
            request, Refusal(404, "Sorry, we can't find the page you are looking for.")
        )

    def wrong_method(self, request: web.Request) -> web.Response:
        return self.refuse(request, Refusal(405, "Method not allowed"))


def limits(bucket: str, remaining: int) -> dict[str, str]:
    quota = {"api": 500, "pages": 100}[bucket]
    return {
        "RateLimit": f'"{bucket}";r={remaining};t=242',
        "RateLimit-Policy": f'"fixed window";"{bucket}";q={quota};w=300',
    }


class News:
    """Handlers over one state."""

    def __init__(self, state: NewsState) -> None:
        self.state = state

    async def feed(self, request: web.Request) -> web.Response:
        origin, trick = str(request.url.origin()), self.state.trick
        if trick in ("moved", "all_gone"):
            raise _moved(trick)
        posts = [] if trick == "empty" else self.state.posts()
        if trick == "huge":
            posts = posts * 1000
        text = BOMB if trick == "bomb" else feed_xml(posts, origin)
        if trick == "changed":
            text = text.replace("link>", "where>").replace("guid", "what")
        body = text.encode("cp1250" if trick == "cp1250" else "utf-8", "replace")
        kind = "application/xml; charset=utf-8"
        return web.Response(
            body=body, headers={"Content-Type": kind, **limits("pages", 99)}
        )

    async def papers(self, request: web.Request) -> web.Response:
        trick = self.state.trick
        if trick in ("moved", "gone", "all_gone"):
            raise _moved(trick)
        items = self._items(request)
        if trick == "changed":
            items = [{"article": item["paper"]} for item in items]
        if trick == "huge":
            items = [{**item, "summary": "x" * 500_000} for item in items[:20]]
        return web.json_response(items, headers=limits("api", 499))

    def _items(self, request: web.Request) -> list[dict[str, Any]]:
        asked = request.query
        month = asked.get("month") or datetime.now(UTC).strftime("%Y-%m")
        try:
            begins = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
            limit, page = int(asked.get("limit", 50)), int(asked.get("p", 0))
        except ValueError:
            raise Refusal(400, "Invalid query parameters") from None
        if begins > datetime.now(UTC) or not 1 <= limit <= 100 or page < 0:
            raise Refusal(400, "Invalid query parameters")
        items = self.state.papers(month)
        if asked.get("sort") == "trending":
            items.sort(key=lambda item: -item["paper"]["upvotes"])
        return items[page * limit : (page + 1) * limit]

    async def month_page(self, request: web.Request) -> web.Response:
        month = request.match_info["month"]
        if self.state.trick == "all_gone":
            raise _moved("all_gone")
        try:
            items = self.state.papers(month)
        except ValueError:
            raise web.HTTPNotFound from None
        headers = {"Content-Type": "text/html; charset=utf-8", **limits("pages", 99)}
        page = month_html(month, items)
        if self.state.trick == "changed":
            page = page.replace("dailyPapers", "articles")
        return web.Response(text=page, headers=headers)

    async def read(self, request: web.Request) -> web.Response:
        """The place a link of a demo leads to."""
        text = f"<!doctype html><title>Practice</title><p>{escape(request.path)}"
        return web.Response(text=text, content_type="text/html")


def _moved(trick: str) -> Exception:
    if trick == "moved":
        return web.HTTPFound("https://elsewhere.example/")
    return web.HTTPNotFound()


def feed_xml(posts: list[Written], origin: str) -> str:
    """RSS as the real one: a title, a date, a link and a guid, nothing else."""
    begin = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>'
        f"<title>Practice blog</title><link>{origin}/blog</link>"
    )
    return (
        begin + "".join(item_xml(post, origin) for post in posts) + "</channel></rss>"
    )


def item_xml(post: Written, origin: str) -> str:
    """Titles come as CDATA or escaped, as at the source."""
    url = f"{origin}/blog/{post.slug}"
    in_cdata = post.at.day % 2
    title = f"<![CDATA[{post.title}]]>" if in_cdata else escape(post.title)
    date = format_datetime(post.at.astimezone(UTC), usegmt=True)
    return (
        f"<item><title>{title}</title><pubDate>{date}</pubDate><link>{url}</link>"
        f'<guid isPermaLink="false">{url}</guid></item>'
    )


def month_html(month: str, items: list[dict[str, Any]]) -> str:
    props = {"periodType": "month", "dateString": month, "dailyPapers": items}
    data = escape(json.dumps(props))
    return (
        "<!doctype html><html><head><title>Papers</title></head><body>"
        '<div class="SVELTE_HYDRATER contents" data-target="Header" data-props="{}">'
        f'</div><div class="SVELTE_HYDRATER contents" data-target="DailyPapers" '
        f'data-props="{data}"><h1>Papers of {month}</h1></div></body></html>'
    )


def build_news(state: NewsState) -> web.Application:
    """Return the practice news over this state as an aiohttp application."""
    app = build_application(state, NewsDialect(state))
    news = News(state)
    app.router.add_get(FEED, news.feed)
    app.router.add_get(PAPERS, news.papers)
    app.router.add_get("/papers/month/{month}", news.month_page)
    app.router.add_get("/blog/{slug:.+}", news.read)
    app.router.add_get("/papers/{number}", news.read)
    add_control_routes(app, state)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Practice news on loopback.")
    parser.add_argument("--port", type=int, default=11437, help="0 takes a free one")
    chosen = parser.parse_args()
    run_until_stopped(
        [(build_news(NewsState()), chosen.port)],
        lambda urls: print("practice news listening on", urls[0], flush=True),
    )


if __name__ == "__main__":
    main()
