"""Pages of this app."""

from __future__ import annotations

from django.urls import URLPattern, path

from runtime_app.views import access, jump

urlpatterns: list[URLPattern] = [
    path("sign-in/", access.sign_in_page, name="sign-in"),
    path("sign-out/", access.sign_out, name="sign-out"),
    path("welcome/<str:token>/", access.welcome, name="welcome"),
    path("set-theme/", access.set_theme, name="set-theme"),
    path("help/", access.help_page, name="help"),
    path("jump/", jump.jump, name="jump"),
]
