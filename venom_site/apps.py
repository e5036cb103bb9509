"""`venom_site` as an app: templatetags and commands, no tables."""

from django.apps import AppConfig


class VenomSiteConfig(AppConfig):
    name = "venom_site"
    verbose_name = "Venom"

    def ready(self) -> None:
        # Tasks are sent through the Celery app; checks register themselves.
        from venom_site import celery, checks  # noqa: F401
