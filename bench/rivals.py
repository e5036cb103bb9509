"""Other gateways, installed from PyPI into environments of their own under build/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.upstream import MODEL

HOME = Path(__file__).resolve().parent.parent / "build" / "rivals"
LITELLM = "litellm[proxy]==1.106.2"
KEY = "sk-bench-0123456789"


def litellm_program(given: str) -> Path:
    """The proxy's program; installs it first where there is none."""
    if given:
        return Path(given)
    folder = HOME / "litellm"
    if not (folder / "bin" / "litellm").exists():
        print(f"installing {LITELLM} into {folder} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", LITELLM]
        subprocess.run(pip, check=True)
    return folder / "bin" / "litellm"


@contextmanager
def litellm(
    program: Path, port: int, upstream: int, folder: str
) -> Iterator[psutil.Process]:
    """One worker with a master key, no telemetry, no price map from the network."""
    place = f"http://127.0.0.1:{upstream}/v1"
    wanted = {"model": f"openai/{MODEL}", "api_base": place, "api_key": "none"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": wanted}],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": KEY},
    }
    path = Path(folder) / "litellm.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [str(program), "--config", str(path), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    bare = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper()}
    process = subprocess.Popen(
        command,
        env=bare | quiet,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)
