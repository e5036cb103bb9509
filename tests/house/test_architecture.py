"""The plan of the house holds, and each contract notices what it forbids."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from venom_site.env import BASE_DIR

PACKAGES = ("venom_site", "models_app", "runtime_app", "history_app")
VIOLATIONS = [
    ("models_app/services/nodes.py", "import runtime_app.models", "Floors"),
    ("history_app/audit.py", "import models_app.models", "Floors"),
    ("venom_site/lib/units.py", "import history_app.models", "Floors"),
    ("venom_site/clients/processes.py", "import models_app.models", "Floors"),
    ("runtime_app/services/active.py", "import venom_site.api", "Floors"),
    ("models_app/models/nodes.py", "import models_app.services.nodes", "Rooms"),
    ("models_app/services/nodes.py", "import models_app.api.operations", "Rooms"),
    (
        "runtime_app/services/active.py",
        "import models_app.api.operations",
        "Another app",
    ),
    ("models_app/services/nodes.py", "import history_app.api.requests", "ground floor"),
    ("models_app/services/nodes.py", "import httpx", "One wall"),
    ("runtime_app/services/active.py", "import subprocess", "One wall"),
    ("runtime_app/services/active.py", "import aiohttp", "No aiohttp"),
    ("runtime_app/gateway/routing.py", "import runtime_app.views.cards", "no pages"),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy_of_the_house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    for name in PACKAGES:
        shutil.copytree(
            BASE_DIR / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(BASE_DIR / "pyproject.toml", folder)
    return folder


@pytest.mark.slow
def test_the_house_keeps_its_contracts(copy_of_the_house):
    result = lint_imports(copy_of_the_house)

    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS)
def test_a_planted_violation_is_refused(copy_of_the_house, file, line, contract):
    target = copy_of_the_house / file
    before = target.read_text()
    target.write_text(f"{before}\n{line}  # planted\n")
    try:
        result = lint_imports(copy_of_the_house)
    finally:
        target.write_text(before)

    broken = [row for row in result.stdout.splitlines() if "BROKEN" in row]
    assert any(contract in row for row in broken), result.stdout


def test_no_package_has_a_room_called_misc():
    names = {"data", "info", "manager", "misc", "utils", "helpers"}
    files = [path for name in PACKAGES for path in (BASE_DIR / name).rglob("*.py")]

    assert not [path for path in files if path.stem in names]


def test_files_stay_under_five_hundred_lines():
    files = [path for name in PACKAGES for path in (BASE_DIR / name).rglob("*.py")]
    long = [path.name for path in files if len(path.read_text().splitlines()) > 500]

    assert not long
