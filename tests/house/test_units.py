"""The units that we hand out: what they say, and that systemd can read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.systemd_unit import directives
from venom_site.env import BASE_DIR

UNITS = Path(BASE_DIR) / "scripts" / "systemd"
SERVERS = ("ollama", "vllm")
PYTHON = "/opt/venom/.venv/bin/python"
# They hide models, caches, sockets or GPUs, or forbid to compile kernels.
HIDING = (
    *("ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers"),
    *("MemoryDenyWriteExecute", "InaccessiblePaths", "TemporaryFileSystem"),
)


def said(server):
    found = directives(UNITS / f"{server}.service")
    return {name: values[-1] for name, values in found.items()}


@pytest.mark.parametrize("server", SERVERS)
def test_a_unit_starts_what_the_launch_file_says(server):
    file = f"/var/lib/venom/runtimes/{server}.json"
    assert said(server)["ExecStart"] == f"{PYTHON} -m venom_site.launch {file}"
    assert said(server)["ConditionPathExists"] == file


@pytest.mark.parametrize("server", SERVERS)
def test_a_crash_with_exit_code_0_is_restarted_and_a_stop_leaves_nothing(server):
    unit = said(server)
    assert unit["Restart"] == "always"
    assert unit["KillMode"] in {"mixed", "control-group"}
    assert unit["SendSIGKILL"] == "yes"
    assert 10 <= int(unit["TimeoutStopSec"]) <= 90
    assert int(unit["StartLimitBurst"]) * int(unit["RestartSec"]) < int(
        unit["StartLimitIntervalSec"]
    ), "the limit would never be reached"


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_hides_the_models_or_the_gpu_and_no_core_is_dumped(server):
    unit = said(server)
    assert unit["LimitCORE"] == "0"
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["ProtectSystem"] != "strict"
    assert not [name for name in HIDING if name in unit]


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)
@pytest.mark.parametrize("server", SERVERS)
def test_systemd_reads_the_unit_without_a_complaint(server, tmp_path):
    text = (UNITS / f"{server}.service").read_text()
    unit = tmp_path / f"{server}.service"
    unit.write_text(text.replace(PYTHON, sys.executable))
    told = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")


def user_units(folder):
    """What the README's own lines for the user scope make of our units."""
    readme = (UNITS / "README.md").read_text()
    begins, ends = readme.index("mkdir -p ~/.config"), readme.index("systemctl --user")
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    words = ["bash", "-euc", readme[begins:ends]]
    subprocess.run(words, cwd=BASE_DIR, env=environment, timeout=30, check=True)
    return folder / ".config" / "systemd" / "user"


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("server", SERVERS)
def test_the_steps_for_the_user_scope_make_units_without_a_users_name(server, tmp_path):
    found = directives(user_units(tmp_path) / f"{server}.service")
    file = f"{BASE_DIR}/data/runtimes/{server}.json"
    [command] = found["ExecStart"]
    assert command == f"{BASE_DIR}/.venv/bin/python -m venom_site.launch {file}"
    assert found["WantedBy"] == ["default.target"]
    assert not {"User", "Group", "ProtectSystem"} & set(found)
    assert found["Restart"] == ["always"]


def test_the_readme_explains_every_choice_and_grants_what_is_called():
    readme = (UNITS / "README.md").read_text()
    for word in ("Restart=always", "KillMode=mixed", "LimitCORE=0", "polkit.addRule"):
        assert word in readme
    for verb in ("start", "stop", "restart", "kill", "reset-failed"):
        assert f'"{verb}"' in readme
