"""`manage.py prepare`: what it makes, how it refuses, in processes of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.urls import resolve, reverse

from runtime_app.models import SignInLink
from venom_site import diagnosis
from venom_site.env import BASE_DIR

LINK = re.compile(r"Sign in: (http://\S+/welcome/(\S{43})/)")


def manage(folder, *words, limit_bytes=None, **environment):
    def limit():
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    wanted = {
        "PATH": os.environ["PATH"],
        "VENOM_DATA_DIR": str(folder),
        "VENOM_SKIP_BOOTSTRAP": "1",
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=BASE_DIR,
        env=wanted | {"DJANGO_SETTINGS_MODULE": "venom_site.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit,
    )


def is_one_sentence(done):
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that has been prepared once."""
    where = tmp_path_factory.mktemp("data")
    first = manage(where, "prepare", VENOM_HOST="0.0.0.0", VENOM_PORT="8123")
    assert first.returncode == 0, first.stderr
    assert LINK.search(first.stdout)[1].startswith("http://127.0.0.1:8123/welcome/")
    return where


@pytest.mark.slow
@pytest.mark.process
def test_it_prints_the_link_last_and_nothing_else(folder):
    done = manage(folder, "prepare")

    assert done.returncode == 0, done.stderr
    assert LINK.fullmatch(done.stdout.strip().splitlines()[-1])
    assert done.stderr == ""
    without = manage(folder, "prepare", "--no-link")
    assert (without.returncode, without.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.process
def test_what_it_made_is_complete(folder):
    rows = sqlite3.connect(folder / "venom.sqlite3")
    groups = {name for (name,) in rows.execute("select name from auth_group")}
    rows.close()

    assert groups == {"Viewer", "Operator", "Governor", "Admin"}
    for name in ("secret_key", "encryption_keys"):
        assert (folder / "keys" / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.process
def test_a_damaged_database_is_one_sentence(tmp_path):
    (tmp_path / "venom.sqlite3").write_bytes(b"this is no database" * 100)

    assert "is damaged." in is_one_sentence(manage(tmp_path, "prepare"))


@pytest.mark.slow
@pytest.mark.process
def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path):
    (tmp_path / "venom.sqlite3").mkdir()

    assert "cannot be opened." in is_one_sentence(manage(tmp_path, "prepare"))


@pytest.mark.slow
@pytest.mark.process
def test_a_full_disk_is_one_sentence(tmp_path):
    done = manage(tmp_path, "prepare", limit_bytes=20_000)

    said = is_one_sentence(done)
    assert "full" in said or "cannot be written" in said, said


@pytest.mark.slow
@pytest.mark.process
def test_a_locked_database_is_one_sentence_and_ends_by_itself(folder):
    holder = sqlite3.connect(folder / "venom.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    try:
        done = manage(folder, "prepare")
    finally:
        holder.close()

    assert "is locked by another program." in is_one_sentence(done)
    assert time.monotonic() - began < 30


@pytest.mark.slow
@pytest.mark.process
def test_a_postgres_that_is_away_is_named_without_its_password(tmp_path):
    url = "postgres://venom:geheim@127.0.0.1:9/venom"

    said = is_one_sentence(manage(tmp_path, "prepare", DATABASE_URL=url))

    assert "The database at 127.0.0.1:9 does not answer." in said
    assert "geheim" not in said


@pytest.mark.slow
@pytest.mark.process
def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "data").write_text("")

    assert "VENOM_DATA_DIR" in is_one_sentence(manage(tmp_path / "data", "prepare"))


@pytest.mark.django_db
def test_with_nothing_to_do_its_own_work_takes_less_than_a_second(capsys):
    began = time.process_time()
    call_command("prepare")

    assert time.process_time() - began < 1
    url, token = LINK.search(capsys.readouterr().out).groups()
    assert urlsplit(url).path == reverse("welcome", args=[token])
    assert resolve(urlsplit(url).path).url_name == "welcome"
    assert SignInLink.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("::", "http://[::1]:"),
        ("::1", "http://[::1]:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("192.0.2.7", "http://192.0.2.7:"),
    ],
)
def test_the_link_names_an_address_that_a_browser_can_open(
    settings, capsys, host, place
):
    settings.ENV = settings.ENV.model_copy(update={"VENOM_HOST": host})
    call_command("prepare")

    assert f"Sign in: {place}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("attempt to write a readonly database", "is read-only."),
        ("database or disk is full", "the disk is full."),
        ("database is locked", "is locked by another program."),
        ("connection refused", "does not answer."),
        ('database "venom" does not exist', "lacks what we need."),
        ('password authentication failed for user "x"', "refuses our name"),
        ("sorry, too many clients already", "takes no more connections."),
    ],
)
def test_what_a_driver_says_becomes_a_sentence_and_a_remedy(text, words):
    sentence, remedy = diagnosis.explain(Exception(text))

    assert words in sentence
    assert remedy.endswith((".", "prepare"))


@pytest.mark.django_db
def test_a_bad_finding_stops_the_start(settings, monkeypatch):
    from venom_site.management.commands import prepare

    found = diagnosis.bad("database", "It is gone.", "Bring it back.")
    monkeypatch.setattr(prepare.diagnosis, "database", lambda: found)

    with pytest.raises(CommandError, match=r"It is gone\. Bring it back\."):
        call_command("prepare")


@pytest.mark.slow
@pytest.mark.process
def test_doctor_on_a_stopped_machine_names_what_is_missing(folder):
    done = manage(folder, "doctor", "--json")

    assert done.returncode == 1
    checks = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert checks["database"]["level"] == "ok"
    assert checks["worker"]["level"] == "bad"
    assert checks["worker"]["remedy"]
    assert checks["socket layer"]["level"] == "ok"
    assert checks["broker"]["level"] == "ok"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.process
def test_doctor_without_a_database_still_looks_at_the_rest(tmp_path):
    url = "postgres://venom:geheim@127.0.0.1:9/venom"
    done = manage(
        tmp_path, "doctor", DATABASE_URL=url, REDIS_URL="redis://:pw@127.0.0.1:9/0"
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert any(line.startswith("bad   database") for line in lines), done.stdout
    assert any(line.startswith("bad   broker") for line in lines), done.stdout
    assert any(line.startswith("bad   socket layer") for line in lines), done.stdout
    assert any(line.startswith("ok    disk") for line in lines), done.stdout
    assert all("→" in line for line in lines if line.startswith("bad"))
    assert "geheim" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
