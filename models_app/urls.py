"""Pages of this app. An id is taken as text, so that an impossible one is 404.

A model's name may hold slashes: fixed paths stand before it.
"""

from __future__ import annotations

from django.urls import path

from models_app.views import (
    capabilities,
    catalog,
    details,
    install,
    install_fit,
    models,
    news,
    operations,
    prepare,
)

urlpatterns = [
    path("operations/", operations.operation_list, name="operation-list"),
    path("operations/probe/", operations.operation_probe, name="operation-probe"),
    path("operations/<str:pk>/", operations.operation_detail, name="operation-detail"),
    path(
        "operations/<str:pk>/cancel/",
        operations.operation_cancel,
        name="operation-cancel",
    ),
    path(
        "operations/<str:pk>/retry/", operations.operation_retry, name="operation-retry"
    ),
    path(
        "operations/<str:pk>/pause/", operations.operation_pause, name="operation-pause"
    ),
    path(
        "operations/<str:pk>/resume/",
        operations.operation_resume,
        name="operation-resume",
    ),
    path("news/", news.news_list, name="news"),
    path("news/papers/", news.paper_list, name="news-papers"),
    path("news/refresh/", news.news_refresh, name="news-refresh"),
    path("models/", models.model_list, name="model-list"),
    path("models/menu/", models.model_menu, name="model-menu"),
    path("models/trending/", catalog.trending, name="model-trending"),
    path("models/catalog/", catalog.catalogue, name="model-catalog"),
    path("models/catalog/refresh/", catalog.refresh, name="catalog-refresh"),
    path("models/catalog/variants/", catalog.variants, name="catalog-variants"),
    path(
        "models/details/refresh/", details.details_refresh, name="model-details-refresh"
    ),
    path("models/install/fit/", install_fit.install_fit, name="model-install-fit"),
    path("models/install/", install.model_install, name="model-install"),
    path(
        "models/<str:provider>/<path:name>/remove/",
        models.model_remove,
        name="model-remove",
    ),
    path(
        "models/<str:provider>/<path:name>/capabilities/",
        capabilities.model_capabilities,
        name="model-capabilities",
    ),
    path(
        "models/<str:provider>/<path:name>/prepare/",
        prepare.model_prepare,
        name="model-prepare",
    ),
    path(
        "models/<str:provider>/<path:name>/", models.model_detail, name="model-detail"
    ),
]
