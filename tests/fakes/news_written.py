"""What the practice news tell: posts of a blog, papers of every month since May 2023.

Everything follows from the date, so that the same day gives the same lists and a demo
has something new every day.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

FIRST_MONTH = "2023-05"
PER_DAY = 4
SUBJECTS = (
    "Small vision models",
    "Speculative decoding",
    "Tool calls",
    "Long contexts",
    "Quantization in 4 bits",
    "Żółta księga of benchmarks",
    "Mixture of experts",
    "Safety of agents",
)
ENDINGS = ("on one GPU", "without tears", "in practice", "at the edge", "revisited")
PEOPLE = ("Ada Kowalska", "Jürgen Müller", "Xiao Yu", "Grace Okafor", "Sam Lee")


@dataclass(frozen=True)
class Written:
    """A post of the blog. The real feed tells nothing else."""

    title: str
    slug: str
    at: datetime


def posts(now: datetime, count: int = 40) -> list[Written]:
    """Newest first, one every second day."""
    found = []
    for number in range(count):
        at = (now - timedelta(days=2 * number + 1)).replace(microsecond=0)
        title = title_of(at.toordinal() // 2)
        slug = f"practice/{at:%Y-%m-%d}-{len(title)}"
        found.append(Written(title=title, slug=slug, at=at))
    return found


def title_of(number: int) -> str:
    return f"{SUBJECTS[number % len(SUBJECTS)]} {ENDINGS[number % len(ENDINGS)]}"


def papers(month: str, now: datetime) -> list[dict[str, Any]]:
    """Items of `/api/daily_papers`, newest first; none of days that are to come."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).date()
    if month < FIRST_MONTH:
        return []
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    written = [day for day in days if day <= now.date() and day.weekday() < 5]
    return [paper(day, n) for day in reversed(written) for n in range(PER_DAY)]


def paper(day: date, number: int) -> dict[str, Any]:
    """Some keys are optional at the source, so that not every paper has them."""
    submitted = datetime.combine(day, time(0, 0), UTC)
    published = submitted - timedelta(days=3 + number)
    seed = day.toordinal() + number
    title = title_of(seed)
    inner: dict[str, Any] = {
        "id": f"{day:%y%m}.{day.day:02}{number:03}",
        "authors": [
            {"_id": f"a{seed}{n}", "name": PEOPLE[(seed + n) % 5], "hidden": n == 3}
            for n in range(2 + number)
        ],
        "publishedAt": moment(published),
        "submittedOnDailyAt": moment(submitted),
        "title": title,
        "summary": f"We study {title.lower()}.\nIf a < b & c, results hold. " * 3,
        "upvotes": seed % 90,
        "discussionId": f"d{seed}",
    }
    if number % 2:
        inner |= {"ai_summary": "A short one.", "ai_keywords": ["practice"]}
    outer: dict[str, Any] = {
        "paper": inner,
        "publishedAt": moment(published),
        "title": title,
        "summary": inner["summary"],
        "numComments": number,
        "isAuthorParticipating": False,
    }
    return outer


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
