"""Pages of this app. Fixed paths stand before any path with a name."""

from __future__ import annotations

from django.urls import URLPattern, path

from runtime_app.views import access, activate, jump, overview, runtimes

urlpatterns: list[URLPattern] = [
    path("sign-in/", access.sign_in_page, name="sign-in"),
    path("sign-out/", access.sign_out, name="sign-out"),
    path("welcome/<str:token>/", access.welcome, name="welcome"),
    path("set-theme/", access.set_theme, name="set-theme"),
    path("help/", access.help_page, name="help"),
    path("jump/", jump.jump, name="jump"),
    path("", overview.overview, name="overview"),
    path("runtimes/", runtimes.runtime_list, name="runtime-list"),
    path("runtimes/add/", runtimes.runtime_add, name="runtime-add"),
    path("runtimes/active/", runtimes.runtime_active, name="runtime-active"),
    path("runtimes/<str:name>/", runtimes.runtime_detail, name="runtime-detail"),
    path("runtimes/<str:name>/activate/", activate.activate_page, name="activate"),
]
