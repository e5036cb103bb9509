"""Output tokens a second of each runtime, from the answers that ended in a span.

Counted from the history, which knows every answer that went through the gateway; so a
long answer counts where it ended, and means over minutes are exact.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from history_app.models import RequestRecord

# Answers that began earlier, or beyond so many newer ones, are not looked at.
LONGEST_ANSWER = timedelta(minutes=10)
MOST_REQUESTS = 2_000


def output_rates(since: datetime, until: datetime) -> dict[str, float]:
    """Tokens a second by runtime; one that answered nothing is not in it. One query
    over the newest requests."""
    rows = RequestRecord.objects.between(since - LONGEST_ANSWER, until).newest_first()
    seen = rows.values_list("runtime", "output_tokens", "finished_at")[:MOST_REQUESTS]
    tokens: Counter[str] = Counter()
    for runtime, number, ended in seen:
        if number and ended is not None and since <= ended < until:
            tokens[runtime] += number
    seconds = (until - since).total_seconds()
    return {runtime: number / seconds for runtime, number in tokens.items()}
