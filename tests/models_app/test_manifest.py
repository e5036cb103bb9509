"""manifest.json: what is in it, and that no write of it ever leaves half a file."""

from __future__ import annotations

import fcntl
import json
import resource
import threading

import pytest

from models_app.services import manifest
from tests.factories import CapabilitiesFactory, InstalledModelFactory, NodeFactory
from tests.threads import in_thread

pytestmark = pytest.mark.django_db
pytest_plugins = ("tests.models_app.practice_store",)


@pytest.fixture
def path(data_folder):
    return data_folder / "models" / "manifest.json"


def written(path):
    return json.loads(path.read_text(encoding="utf-8"))


def names(path):
    return [model["name"] for model in written(path)["models"]]


def test_the_file_has_the_shape_other_programs_know(path):
    model = InstalledModelFactory(name="llama3:latest", size_bytes=4_496_000_000)
    CapabilitiesFactory(
        model=model,
        supports_system_role=True,
        allowed_roles=["system", "user", "assistant"],
    )

    manifest.export_manifest()

    content = written(path)
    assert content["updated_at"].endswith("Z")
    installed_at = content["models"][0].pop("installed_at")
    assert installed_at.endswith("Z")
    assert content["models"] == [
        {
            "name": "llama3:latest",
            "provider": "ollama",
            "display_name": "llama3:latest",
            "size_gb": 4.5,
            "status": "installed",
            "capabilities": {
                "supports_system_role": True,
                "allowed_roles": ["system", "user", "assistant"],
                "max_context_length": 32_768,
            },
            "local_path": None,
            "sha256": model.digest,
            "runtime": "ollama",
        }
    ]


def test_an_empty_registry_is_an_empty_list(path):
    manifest.export_manifest()

    assert written(path)["models"] == []


def test_only_this_node_s_models_are_in_it(path):
    InstalledModelFactory(name="far:1b", node=NodeFactory(name="shed"))
    InstalledModelFactory(name="near:1b")

    manifest.export_manifest()

    assert names(path) == ["near:1b"]


def test_nothing_is_written_where_nothing_changed(path):
    InstalledModelFactory(name="one:1b")
    manifest.export_manifest()
    before = path.stat().st_mtime_ns, path.stat().st_ino

    manifest.export_manifest()

    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 99_999])
def test_a_damaged_file_is_replaced(path, rubbish):
    path.parent.mkdir()
    path.write_bytes(rubbish)

    manifest.export_manifest()

    assert names(path) == []


def test_a_full_disk_leaves_the_old_file_and_fails_nothing(path, caplog):
    InstalledModelFactory(name="one:1b")
    manifest.export_manifest()
    InstalledModelFactory.create_batch(50)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        manifest.export_manifest()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert names(path) == ["one:1b"]
    assert "manifest not written" in caplog.text
    left = sorted(each.name for each in path.parent.iterdir())
    assert left == [".manifest.json.lock", "manifest.json"]
    manifest.export_manifest()
    assert len(names(path)) == 51


def test_a_folder_that_cannot_be_made_fails_nothing(data_folder, caplog):
    (data_folder / "models").write_text("a file where the folder should be")

    manifest.export_manifest()

    assert "manifest not written" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_writer_that_had_to_wait_writes_the_newest_state(path):
    path.parent.mkdir()
    lock = (path.parent / ".manifest.json.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    began = threading.Event()

    def export():
        began.set()
        manifest.export_manifest()

    writer = in_thread(export)
    assert began.wait(5)
    InstalledModelFactory(name="late:1b")
    assert not path.exists()
    lock.close()
    writer.join(5)

    assert names(path) == ["late:1b"]
