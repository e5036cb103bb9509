"""Which interpreter runs Venom, and how `.venv` is made and repaired."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded.stand_in import ROOT
from venom_site.embedded import bootstrap

REQUIREMENTS = """\
django==5.2.19 \\
    --hash=sha256:aaaa
psycopg[binary]==3.3.9 \\
    --hash=sha256:bbbb
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cccc
numpy==1.0 ; python_version < '3.12'
numpy==2.0 ; python_version >= '3.12'
    # via django==9
"""
INSTALLED = {"django": "5.2.19", "psycopg": "3.3.9", "numpy": "2.0"}


@pytest.fixture
def requirements(tmp_path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text(REQUIREMENTS)
    return file


@pytest.mark.parametrize(
    ("change", "enough"),
    [
        ({}, True),
        ({"django": "5.2.18"}, False),
        ({"django": None}, False),
        ({"numpy": "1.0"}, True),
        ({"numpy": "3.0"}, False),
        ({"numpy": None}, True),
        ({"colorama": "0.4.5"}, False),
        ({"unasked": "1"}, True),
    ],
)
def test_an_interpreter_will_do_when_it_has_every_pin(requirements, change, enough):
    installed = {k: v for k, v in {**INSTALLED, **change}.items() if v}
    pins = bootstrap.read_pins(requirements)
    assert bootstrap.has_pins(pins, installed) is enough


def test_installed_versions_are_told_by_folder_names_and_the_first_counts(tmp_path):
    for name in ("a/Foo_Bar.baz-1.0.dist-info", "b/foo_bar_baz-2.0.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    path = [str(tmp_path / "absent"), str(tmp_path / "a"), str(tmp_path / "b")]
    assert bootstrap.installed_versions(path) == {"foo-bar-baz": "1.0"}


def test_the_running_interpreter_is_described_truly():
    from importlib.metadata import version

    assert bootstrap.installed_versions(sys.path)["pytest"] == version("pytest")


def only(*names):
    return lambda name: f"/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("modules", "commands", "expected"),
    [
        ({"venv", "ensurepip"}, (), [["py", "-m", "venv"]]),
        ({"venv"}, (), []),  # Debian without python3-venv
        ({"venv"}, ("uv",), [["/bin/uv", "venv", "--python", "py"]]),
        (set(), ("virtualenv",), [["/bin/virtualenv", "--python", "py"]]),
    ],
)
def test_makers_of_an_environment_in_their_order(modules, commands, expected):
    found = bootstrap.makers("py", modules.__contains__, only(*commands))
    assert found == expected


def test_venv_comes_before_uv_and_uv_before_virtualenv():
    has_all = {"venv", "ensurepip"}.__contains__
    found = bootstrap.makers("py", has_all, only("uv", "virtualenv"))
    assert [argv[0] for argv in found] == ["py", "/bin/uv", "/bin/virtualenv"]


def make_python(venv: Path) -> None:
    python = bootstrap.python_of(venv)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)


def test_only_the_stamp_of_these_requirements_makes_it_complete(tmp_path, requirements):
    venv = tmp_path / ".venv"
    make_python(venv)
    assert not bootstrap.is_complete(venv, requirements)
    bootstrap.stamp_of(venv, requirements).write_text("3.11")
    assert bootstrap.is_complete(venv, requirements)
    assert bootstrap.is_complete(venv, requirements, version="3.11")
    assert not bootstrap.is_complete(venv, requirements, version="3.13")
    requirements.write_text(REQUIREMENTS + "celery==1\n")
    assert not bootstrap.is_complete(venv, requirements)


def test_an_environment_whose_interpreter_is_gone_is_not_complete(
    tmp_path, requirements
):
    venv = tmp_path / ".venv"
    make_python(venv)
    bootstrap.stamp_of(venv, requirements).write_text("3.11")
    bootstrap.python_of(venv).unlink()
    bootstrap.python_of(venv).symlink_to(tmp_path / "gone")
    assert not bootstrap.is_complete(venv, requirements)


def make_checkout(folder: Path, requirements: str) -> None:
    """manage.py and bootstrap, and a `django` that says which Python runs it."""
    shutil.copy(ROOT / "manage.py", folder)
    shutil.copytree(ROOT / "venom_site", folder / "venom_site")
    (folder / "requirements.txt").write_text(requirements)
    management = folder / "django" / "core" / "management"
    management.mkdir(parents=True)
    for package in (management.parent, management.parents[1]):
        (package / "__init__.py").touch()
    (management / "__init__.py").write_text(
        "import sys\ndef execute_from_command_line(argv): print(sys.prefix, argv[1:])\n"
    )


def run_manage(folder: Path, **variables) -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VENOM_")}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_running_interpreter_serves_when_it_has_the_pins(tmp_path):
    make_checkout(tmp_path, "pytest==" + pytest.__version__ + "\n")
    done = run_manage(tmp_path)
    assert done.stdout == f"{sys.prefix} ['check', '--deploy']\n"
    assert not (tmp_path / ".venv").exists()


def test_the_check_can_be_skipped(tmp_path):
    make_checkout(tmp_path, "nowhere==1\n")
    done = run_manage(tmp_path, VENOM_SKIP_BOOTSTRAP="1")
    assert done.stdout == f"{sys.prefix} ['check', '--deploy']\n"


@pytest.mark.slow
def test_a_package_that_cannot_be_had_is_one_sentence(tmp_path):
    make_checkout(tmp_path, "nowhere==1 --hash=sha256:" + "0" * 64 + "\n")
    done = run_manage(tmp_path, PIP_NO_INDEX="1", UV_NO_INDEX="1")
    assert done.returncode == 1
    assert "packages could not be installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / ".venv").glob(".requirements-*"))


@pytest.mark.slow
def test_venv_is_made_once_repaired_when_half_made_and_then_left_alone(tmp_path):
    # Marked lines ask pip for nothing; the wrong pytest sends us into .venv.
    make_checkout(tmp_path, "pytest==0 ; python_version < '3'\n")
    venv = tmp_path / ".venv"
    inside = f"{venv} ['check', '--deploy']\n"

    first = run_manage(tmp_path)
    assert first.stdout == inside, first.stderr
    assert "Installing" in first.stderr
    second = run_manage(tmp_path)
    assert (second.stdout, second.stderr) == (inside, "")

    (stamp,) = venv.glob(".requirements-*")
    stamp.unlink()
    (venv / ".unfinished").touch()  # killed while pip was at work
    third = run_manage(tmp_path)
    assert third.stdout == inside, third.stderr
    assert "made anew" in third.stderr
    assert not (venv / ".unfinished").exists()

    shutil.rmtree(venv / "lib")  # killed while the environment was made
    next(venv.glob(".requirements-*")).unlink()
    fourth = run_manage(tmp_path)
    assert fourth.stdout == inside, fourth.stderr
