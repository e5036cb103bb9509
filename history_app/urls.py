"""Pages of this app."""

from __future__ import annotations

from django.urls import path

from history_app.views import requests

urlpatterns = [
    path("requests/", requests.request_list, name="request-list"),
    path("requests/<uuid:pk>/", requests.request_detail, name="request-detail"),
]
