"""Fixtures: the practice Ollama as this node's store, behind the real adapter."""

from __future__ import annotations

import pytest

from models_app.providers import registry as providers
from venom_site.lib import events, queue


@pytest.fixture
def store(practice_ollama, settings):
    """The state of a practice Ollama that this node's provider speaks to."""
    url = practice_ollama.url
    point_at(settings, url)
    yield practice_ollama.state
    providers.close_all()


def point_at(settings, url, **more):
    given = {"OLLAMA_BASE_URL": url, "ollama_url": url} | more
    settings.ENV = settings.ENV.model_copy(update=given)


@pytest.fixture
def away(settings):
    """A store at a port where nothing listens."""
    point_at(settings, "http://127.0.0.1:9")
    yield
    providers.close_all()


@pytest.fixture
def data_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def told(monkeypatch):
    """The (name, status) of every `model.changed` that left."""
    sent = []

    def keep(message):
        event = message["event"]
        if event["type"] == "model.changed":
            sent.append((event["data"]["name"], event["data"]["status"]))

    monkeypatch.setattr(events, "_send", keep)
    return sent


@pytest.fixture
def jobs(monkeypatch):
    """The names of the jobs that left for a node's queue."""
    sent = []
    monkeypatch.setattr(
        queue, "_send_now", lambda task, args, where, life: sent.append((task, where))
    )
    return sent
