"""What is running, what serves, who may use it."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class RuntimeAppConfig(AppConfig):
    name = "runtime_app"
    verbose_name = _("Runtimes and access")

    def ready(self) -> None:
        from runtime_app.governance.groups import ensure_groups

        post_migrate.connect(
            lambda **_: ensure_groups(), sender=self, weak=False, dispatch_uid="groups"
        )
