"""What happened: requests and audit."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HistoryAppConfig(AppConfig):
    name = "history_app"
    verbose_name = _("History")
