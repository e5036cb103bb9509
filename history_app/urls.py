"""Pages of this app."""

from __future__ import annotations

from django.urls import path

from history_app.views import requests

urlpatterns = [
    path("requests/", requests.request_list, name="request-list"),
    path("requests/news/", requests.request_news, name="request-news"),
    path("requests/<uuid:pk>/", requests.request_detail, name="request-detail"),
]
