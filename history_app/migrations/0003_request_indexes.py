"""One index for each way a request is looked for.

Built beside a million rows of a PostgreSQL that goes on recording: CONCURRENTLY, so not
within one transaction. A build that was cut leaves an invalid index behind; it is
dropped first, so that the migration may run again. On SQLite nobody records meanwhile:
`manage.py up` migrates before it serves (two minutes for a million rows, measured).
"""

from django.db import migrations, models
from django.db.models import F, OrderBy, Q
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from venom_site.lib.folded import Folded


class AddIndexLive(migrations.AddIndex):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        name = schema_editor.quote_name(self.index.name)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.add_index(model, self.index, concurrently=True)


def add(index):
    return AddIndexLive("requestrecord", index)


def newest(column):
    yield Folded(column)
    for name in ("created_at", "id"):
        yield OrderBy(F(name), descending=True)


def drop_plain_index(apps, schema_editor):
    """By hand: SQLite would copy the whole table for this change of a field."""
    connection = schema_editor.connection
    table = apps.get_model("history_app", "requestrecord")._meta.db_table
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    for name, facts in found.items():
        if facts["index"] and facts["columns"] == ["request_id"]:
            schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


def add_plain_index(apps, schema_editor):
    model = apps.get_model("history_app", "requestrecord")
    index = models.Index(fields=["request_id"], name="request_request_id")
    schema_editor.add_index(model, index)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("history_app", "0002_trace_and_contents")]

    operations = [
        add(models.Index(*newest("request_id"), name="request_called")),
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(drop_plain_index, add_plain_index)],
            [
                migrations.AlterField(
                    "requestrecord",
                    "request_id",
                    models.CharField(max_length=64, verbose_name="request id"),
                )
            ],
        ),
        add(models.Index(*newest("llm_model"), name="request_llm_model")),
        migrations.RemoveIndex("requestrecord", "request_model"),
        add(models.Index(*newest("key_name"), name="request_key_name")),
        add(models.Index(*newest("session_id"), name="request_session")),
        add(models.Index(Folded("requested_model"), name="request_requested")),
        add(models.Index(fields=["key_id", "-created_at", "-id"], name="request_key")),
        add(models.Index(fields=["duration_seconds"], name="request_duration")),
        add(
            models.Index(
                fields=["error_code", "-created_at", "-id"],
                condition=Q(error_code__gt=""),
                name="request_error",
            )
        ),
        add(
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(fallback=True),
                name="request_fallback",
            )
        ),
        add(
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(Exact(Lower("llm_provider"), "openai"))
                | Q(Exact(Lower("llm_provider"), "google")),
                name="request_cloud",
            )
        ),
    ]
