"""Every address of the product. Fixed paths stand before any path with a name."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import set_language

from runtime_app.api.metrics import metrics
from venom_site.api import api, docs
from venom_site.lib.access import open_to_all
from venom_site.readiness import readyz

urlpatterns = [
    path("", include("runtime_app.urls")),
    path("", include("models_app.urls")),
    path("", include("history_app.urls")),
    path("set-language/", open_to_all(set_language), name="set-language"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/docs", docs, name="api-docs"),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]

handler400 = "venom_site.middleware.bad_request"
handler403 = "venom_site.middleware.permission_denied"
handler404 = "venom_site.middleware.page_not_found"
handler500 = "venom_site.middleware.server_error"
