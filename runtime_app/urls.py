"""Pages of this app. Fixed paths stand before any path with a name."""

from __future__ import annotations

from django.urls import URLPattern, path

from runtime_app.views import (
    access,
    activate,
    added_servers,
    alerts,
    charts,
    jump,
    memory,
    names,
    overview,
    parameters,
    runtimes,
    server_actions,
    trials,
)

urlpatterns: list[URLPattern] = [
    path("sign-in/", access.sign_in_page, name="sign-in"),
    path("sign-out/", access.sign_out, name="sign-out"),
    path("welcome/<str:token>/", access.welcome, name="welcome"),
    path("set-theme/", access.set_theme, name="set-theme"),
    path("help/", access.help_page, name="help"),
    path("jump/", jump.jump, name="jump"),
    path("", overview.overview, name="overview"),
    path("alerts/", alerts.alert_list, name="alert-list"),
    path("alerts/<str:pk>/silence/", alerts.alert_silence, name="alert-silence"),
    path("alerts/<str:pk>/close/", alerts.alert_close, name="alert-close"),
    path("runtimes/", runtimes.runtime_list, name="runtime-list"),
    path("runtimes/add/", added_servers.runtime_add, name="runtime-add"),
    path("runtimes/active/", runtimes.runtime_active, name="runtime-active"),
    path("runtimes/memory/load/", memory.model_load, name="model-load"),
    path("runtimes/memory/unload/", memory.model_unload, name="model-unload"),
    path("runtimes/memory/pin/", memory.model_pin, name="model-pin"),
    path("runtimes/memory/unload-all/", memory.unload_all, name="unload-all"),
    path("runtimes/<str:name>/", runtimes.runtime_detail, name="runtime-detail"),
    path("runtimes/<str:name>/log/", runtimes.runtime_log, name="runtime-log"),
    path(
        "runtimes/<str:name>/change/",
        added_servers.runtime_change,
        name="runtime-change",
    ),
    path(
        "runtimes/<str:name>/remove/",
        added_servers.runtime_remove,
        name="runtime-remove",
    ),
    *(
        path(
            f"runtimes/<str:name>/{verb}/",
            server_actions.server_action,
            {"verb": verb},
            name=f"runtime-{verb}",
        )
        for verb in server_actions.ACTIONS
    ),
    path("runtimes/<str:name>/charts/", charts.runtime_charts, name="runtime-charts"),
    path("runtimes/<str:name>/activate/", activate.activate_page, name="activate"),
    path("runtimes/<str:name>/names/", names.names_page, name="runtime-names"),
    path("runtimes/<str:name>/repair/", names.names_repair, name="runtime-repair"),
    path("runtimes/<str:name>/trial/", trials.trial_page, name="model-trial"),
    path("runtimes/<str:name>/trial/run/", trials.trial_run, name="model-trial-run"),
    path(
        "runtimes/<str:name>/parameters/",
        parameters.parameters_page,
        name="model-parameters",
    ),
    path(
        "runtimes/<str:name>/parameters/save/",
        parameters.parameters_save,
        name="model-parameters-save",
    ),
]
