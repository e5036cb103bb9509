"""docker-compose.yml, Dockerfile and .dockerignore as programs read them.

`tests/house/test_compose.py` checks what they promise, `tests/full/roles.py` runs
what they say. Nothing here starts anything.
"""

import re
import shlex
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("prepare", "web", "gateway", "worker", "beat")
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose() -> dict:
    """The file with every `${NAME:-default}` at its default."""
    return _filled(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def _filled(value):
    """docker fills variables in after reading the YAML, so one may be empty."""
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: found[2], value)
    return value


def service(name: str) -> dict:
    return compose()["services"][name]


def seconds(duration: str) -> float:
    """`20s` as a number; we write nothing else there."""
    assert duration.endswith("s")
    return float(duration.removesuffix("s"))


def instructions(name: str) -> list[str]:
    """The Dockerfile's lines of one kind, without the word itself."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(name)]


def image_environment() -> dict[str, str]:
    words = [word for line in instructions("ENV") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def image_content() -> list[Path]:
    """What `COPY . .` takes: .dockerignore refuses all but the names it lists."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    wanted = [ROOT / line.removeprefix("!") for line in lines if line.startswith("!")]
    return [path for path in wanted if path.exists()]
