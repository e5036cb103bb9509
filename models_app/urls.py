"""Pages of this app. An id is taken as text, so that an impossible one is 404."""

from __future__ import annotations

from django.urls import path

from models_app.views import operations

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
]
