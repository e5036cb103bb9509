"""`venom_site` as an app: templatetags and commands, no tables."""

from django.apps import AppConfig


class VenomSiteConfig(AppConfig):
    name = "venom_site"
    verbose_name = "Venom"

    def ready(self) -> None:
        from venom_site import celery  # noqa: F401 - tasks are sent through this app
