"""Celery's entry points of the middle floor: an id in, one service call."""

from __future__ import annotations

from celery import shared_task

from models_app.services import (
    catalog_refresh,
    claims,
    discovery,
    installing,
    manifest,
    probe,
    remove,
    sweep,
    use,
)


@shared_task(name="models_app.sweep_operations")
def sweep_operations() -> None:
    sweep.sweep_operations()


@shared_task(name="models_app.run_probe")
def run_probe(pk: str) -> None:
    claims.carry_out(pk, probe.perform_probe)


@shared_task(name="models_app.run_install")
def run_install(pk: str) -> None:
    claims.carry_out(pk, installing.perform_install)


@shared_task(name="models_app.run_remove")
def run_remove(pk: str) -> None:
    claims.carry_out(pk, remove.perform_remove)


@shared_task(name="models_app.fan_out_discovery")
def fan_out_discovery() -> None:
    discovery.fan_out()


@shared_task(name="models_app.discover_models")
def discover_models() -> None:
    discovery.discover()


@shared_task(name="models_app.export_manifest")
def export_manifest() -> None:
    manifest.export_manifest()


@shared_task(name="models_app.count_use")
def count_use() -> None:
    use.count_use()


@shared_task(name="models_app.refresh_catalogues")
def refresh_catalogues() -> None:
    catalog_refresh.refresh_viewed()


@shared_task(name="models_app.forget_kept_answers")
def forget_kept_answers() -> None:
    catalog_refresh.forget_unused()
