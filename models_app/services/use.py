"""How much each installed model is used, counted from the history once a minute.

Lists sort by it, and people decide by it what may go. The history knows models by name
only, so provider, name and node are what joins the two: a request of one revision
counts for all that lie here. Neither its row nor its trace says which one answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone

from history_app.models import RequestRecord
from models_app.models import InstalledModel

DAY = timedelta(hours=24)
READ = ("name", "provider", "requests_day", "last_used_at", "node__name")
Use = tuple[int, datetime | None]


def count_use() -> None:
    """Write `requests_day` and `last_used_at` where they changed: two queries, and a
    third when there is something to write."""
    used = _used_since(timezone.now() - DAY)
    changed = []
    for model in InstalledModel.objects.select_related("node").only(*READ):
        key = (model.node.name, model.provider, model.name.lower())
        requests, last = used.get(key, (0, None))
        last = max(filter(None, (last, model.last_used_at)), default=None)
        if (requests, last) != (model.requests_day, model.last_used_at):
            model.requests_day, model.last_used_at = requests, last
            changed.append(model)
    InstalledModel.objects.bulk_update(
        changed, ["requests_day", "last_used_at"], batch_size=200
    )


def _used_since(moment: datetime) -> dict[tuple[str, str, str], Use]:
    """By node, provider and lower-cased name. Requests without a node are ours."""
    rows = RequestRecord.objects.filter(created_at__gte=moment).exclude(llm_model="")
    grouped = rows.order_by().values("node", "llm_provider", "llm_model")
    counted = grouped.annotate(requests=Count("pk"), last=Max("created_at"))
    used: dict[tuple[str, str, str], Use] = {}
    for row in counted:
        name = row["llm_model"].lower()
        key = (row["node"] or settings.NODE, row["llm_provider"], name)
        requests, last = used.get(key, (0, None))
        latest = max(filter(None, (last, row["last"])))
        used[key] = (requests + row["requests"], latest)
    return used
