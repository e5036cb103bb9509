"""Finds or makes an interpreter that has the pinned packages; plain standard library.

`manage.py` calls `ensure_packages` first of all; `python -m
venom_site.embedded.bootstrap requirements-dev.txt` puts the tools of the tests into
`.venv` too. A stamp named after the hash of the requirements, written last, says that
`.venv` is complete. Must cost next to nothing when all is in order, and must never
touch an interpreter that is not `.venv`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SKIP_VARIABLE = "VENOM_SKIP_BOOTSTRAP"
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(;)?", re.M)
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
MAKE_VENV_POSSIBLE = (
    "Venom needs a virtual environment and this Python cannot make one. Install the "
    "package python3-venv (sudo apt install python3-venv) and start again."
)

# Name → the versions that will do, and whether the package must be there.
Pins = dict[str, tuple[frozenset[str], bool]]


def ensure_packages(folder: Path, requirements: str = "requirements.txt") -> None:
    """Returns when this interpreter has the packages; else starts anew in `.venv`."""
    file, venv = folder / requirements, folder / ".venv"
    if os.environ.get(SKIP_VARIABLE) == "1" or not file.exists():
        return
    inside = runs_in(venv)
    if inside and is_complete(venv, file, version=VERSION):
        return
    if not inside and has_pins(read_pins(file), installed_versions(sys.path)):
        return
    if inside or not is_complete(venv, file):
        install(venv, file)
    python = str(python_of(venv))
    os.execv(python, [python, *sys.argv])  # noqa: S606 - a shell is not wanted


# What is there?


def runs_in(venv: Path) -> bool:
    """Whether this interpreter is the one of that environment."""
    return Path(sys.prefix).resolve() == venv.resolve()


def python_of(venv: Path) -> Path:
    """The environment's interpreter."""
    return venv / "bin" / "python"


def read_pins(requirements: Path) -> Pins:
    """The pins of a requirements file.

    A line with a marker binds only where the marker holds, so its package may be
    absent; several lines of one package differ by their markers.
    """
    pins: Pins = {}
    for name, version, marker in PIN.findall(requirements.read_text("utf-8")):
        versions, needed = pins.get(_normal(name), (frozenset(), False))
        pins[_normal(name)] = (versions | {version}, needed or not marker)
    return pins


def has_pins(pins: Pins, installed: Mapping[str, str]) -> bool:
    """Whether every pinned package is installed in a pinned version."""
    return all(
        installed[name] in versions if name in installed else not needed
        for name, (versions, needed) in pins.items()
    )


def installed_versions(search_path: Sequence[str]) -> dict[str, str]:
    """Name → version, by the names of folders: 30 times faster than reading them."""
    found: dict[str, str] = {}
    for folder in search_path:
        for entry in _dist_infos(folder):
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            found.setdefault(_normal(name), version)
    return found


def _dist_infos(folder: str) -> list[str]:
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - no Path per entry
    except OSError:
        return []  # a zip file or a folder that is not there
    return [name for name in names if name.endswith(".dist-info")]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stamp_of(venv: Path, requirements: Path) -> Path:
    """The file that says: these requirements are installed here."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return venv / f".{requirements.stem}-{digest}"


def is_complete(venv: Path, requirements: Path, *, version: str | None = None) -> bool:
    """Whether `.venv` holds the requirements, made for this Python version if given.

    The version can be told only from within: `bin/python` is a link to what the
    system calls python3, which an upgrade replaces.
    """
    try:
        written = stamp_of(venv, requirements).read_text("utf-8")
    except OSError:
        return False
    return os.access(python_of(venv), os.X_OK) and version in (None, written)


# Making it


def install(venv: Path, requirements: Path) -> None:
    """Makes or repairs `.venv` and installs the requirements; exits on failure."""
    with _one_at_a_time(venv.parent):
        if is_complete(venv, requirements, version=VERSION):
            return  # another start did it while we waited
        unfinished = venv / ".unfinished"
        version = _usable_version(venv)
        if version is None or unfinished.exists():
            version = _make(venv)
        _tell("Installing Venom's packages into .venv; the first time takes a while.")
        _remove_stamps(venv, requirements)
        unfinished.touch()
        failed = subprocess.call(_installer(venv, requirements))  # noqa: S603
        unfinished.unlink()  # what failed in order left all as it was
        if failed:
            sys.exit("Venom's packages could not be installed; the reason is above.")
        stamp_of(venv, requirements).write_text(version, "utf-8")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _usable_version(venv: Path) -> str | None:
    """The environment's Python version; None when it has to be made anew."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = _output([str(python_of(venv)), "-c", program])
    if version is None or tuple(map(int, version.split("."))) < (3, 11):
        return None
    packages = venv / "lib" / f"python{version}" / "site-packages"
    return version if packages.is_dir() else None


def _make(venv: Path) -> str:
    if venv.exists():
        _tell("The folder .venv is half made or outdated; it is made anew.")
        shutil.rmtree(venv)
    if not os.access(venv.parent, os.W_OK):
        sys.exit(f"{venv.parent} is not writable, so .venv cannot be made there.")
    for maker in makers(_base_python(), _has_module, shutil.which):
        if _output([*maker, str(venv)]) is not None:
            version = _usable_version(venv)
            if version is not None:
                return version
        shutil.rmtree(venv, ignore_errors=True)
    sys.exit(MAKE_VENV_POSSIBLE)


def makers(
    python: str,
    has_module: Callable[[str], bool],
    which: Callable[[str], str | None],
) -> list[list[str]]:
    """Commands that can make an environment here, best first."""
    found = []
    if has_module("venv") and has_module("ensurepip"):  # Debian packs these apart
        found.append([python, "-m", "venv"])
    if uv := which("uv"):
        found.append([uv, "venv", "--python", python])
    if virtualenv := which("virtualenv"):
        found.append([virtualenv, "--python", python])
    return found


def _installer(venv: Path, requirements: Path) -> list[str]:
    python, uv = str(python_of(venv)), shutil.which("uv")
    wanted = ["--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    has_pip = _output([python, "-m", "pip", "--version"]) is not None
    if not has_pip and uv:
        return [uv, "pip", "install", "--quiet", "--python", python, *wanted]
    if not has_pip and _output([python, "-m", "ensurepip"]) is None:
        sys.exit(MAKE_VENV_POSSIBLE)
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    return [python, "-m", "pip", "install", *quiet, *wanted]


def _remove_stamps(venv: Path, requirements: Path) -> None:
    # An older one would look valid again after a change back; others' stay.
    for path in venv.iterdir():
        if re.fullmatch(rf"\.{re.escape(requirements.stem)}-[0-9a-f]{{64}}", path.name):
            path.unlink()


def _base_python() -> str:
    """The interpreter below any environment that we run in."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    return base


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _output(argv: Sequence[str]) -> str | None:
    """What a command prints; None when it fails or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            argv, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    install(root / ".venv", root / (sys.argv[1:] or ["requirements.txt"])[0])
