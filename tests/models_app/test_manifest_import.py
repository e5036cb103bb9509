"""`manage.py models import-manifest`: an old file's word, held to the disk."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from models_app.models import InstalledModel
from models_app.services.manifest_import import import_manifest
from tests.fakes.tiny_model import tiny_files
from tests.models_app.hub_installs import TINY, installed
from venom_site.lib.errors import BadRequest

pytest_plugins = ("tests.fakes.fixtures", "tests.models_app.hub_fixtures")
pytestmark = pytest.mark.django_db(transaction=True)


def put(folder):
    folder.mkdir(parents=True)
    for path, content in tiny_files().items():
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def manifest(tmp_path):
    """manifest(entries) → the file, in the shape that earlier versions wrote."""

    def write(models):
        path = tmp_path / "old" / "manifest.json"
        path.parent.mkdir(exist_ok=True)
        content = {"models": models, "updated_at": "2024-12-17T10:00:00"}
        path.write_text(json.dumps(content))
        return path

    return write


def entry(name, provider="huggingface", **fields):
    return {"name": name, "provider": provider, "status": "installed", **fields}


def told(path):
    return {each.name: each.message for each in import_manifest(path)}


def test_what_lies_here_is_registered_and_what_does_not_is_told(
    shop, manifest, tmp_path
):
    installed(TINY)
    InstalledModel.objects.all().delete()
    shelf = put(shop.shelf / "gemma-3-4b-it")
    apart = put(tmp_path / "apart" / "model")

    said = told(
        manifest(
            [
                entry(TINY),
                entry("google/gemma-3-4b-it", local_path=str(shelf)),
                entry("org/apart", local_path=str(apart)),
                entry("org/gone", local_path="/nowhere/at/all"),
                entry("org/unplaced", local_path=None),
                entry("llama3:latest", "ollama"),
                entry("x", "dockerhub"),
                entry("../escape", "huggingface"),
            ]
        )
    )

    assert said[TINY] == "registered"
    assert said["google/gemma-3-4b-it"] == "registered as gemma-3-4b-it"
    assert "MODELS_SCAN_DIRS" in said["org/apart"]
    assert "/nowhere/at/all is not there" in said["org/gone"]
    assert "names no folder" in said["org/unplaced"]
    assert "Ollama does not list it" in said["llama3:latest"]
    assert "its provider" in said["x"]
    assert "its name" in said["../escape"]
    names = set(InstalledModel.objects.values_list("name", flat=True))
    assert {TINY, "gemma-3-4b-it"} <= names
    assert "org/gone" not in names


def test_a_second_import_changes_nothing(shop, manifest):
    put(shop.shelf / "model")
    path = manifest([entry("model", local_path=str(shop.shelf / "model"))])

    first = told(path)
    row = InstalledModel.objects.get(name="model")

    assert told(path) == first
    assert InstalledModel.objects.get(name="model").pk == row.pk


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"models": 3}', '{"models": [1]}', "[" * 100_000, '{"models": null}'],
)
def test_a_file_that_is_no_manifest_is_refused(shop, tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_text(content)

    with pytest.raises(BadRequest):
        import_manifest(path)
    with pytest.raises(BadRequest, match="cannot be read"):
        import_manifest(tmp_path / "missing.json")


def test_the_command_tells_it_in_lines_and_for_scripts(shop, manifest, capsys):
    put(shop.shelf / "model")
    path = manifest([entry("model", local_path=str(shop.shelf / "model"))])

    call_command("models", "import-manifest", str(path))
    assert "1 of 1 models lie here." in capsys.readouterr().out

    call_command("models", "import-manifest", str(path), "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["count"], answer["models"][0]["registered"]) == (1, True)
    with pytest.raises(CommandError):
        call_command("models", "import-manifest", "/nowhere/manifest.json")
