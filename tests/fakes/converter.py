"""A practice converter, as a user might name it in VLLM_PREPARE_COMMAND.

`python converter.py SOURCE TARGET DTYPE QUANTIZATION --as=WAY…`: copies the model and
says in its config that it is not quantized. A way makes it behave otherwise:

    fail          says why on stderr and ends with 3
    hang          starts a child of its own, says «waiting PID CHILD», waits for ever
    stubborn      as hang, and neither it nor its child minds SIGTERM
    junk          writes weights that are no safetensors
    pickles       leaves pickle weights only
    link          leaves a link that leads out of the folder
    unpickle      leaves safetensors, of no tensors, in place of pickle weights
    nothing       ends well and leaves nothing
    unmended      copies and mends nothing
    chatter       writes thousands of lines, and one without end
    environment   prints the names of its environment
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

SLEEPER = "import signal, sys, time\n{}\nprint(flush=True)\ntime.sleep(600)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def main() -> int:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    way = next((w[5:] for w in sys.argv if w.startswith("--as=")), "")
    print(f"converting to {sys.argv[3]} {sys.argv[4]} in {Path.cwd().name}", flush=True)
    if way == "environment":
        print("has " + " ".join(sorted(os.environ)), flush=True)
    if way == "fail":
        print("Traceback (most recent call last):", file=sys.stderr)
        print("ValueError: no rule for these weights", file=sys.stderr)
        print("see the manual", file=sys.stderr)
        return 3
    if way == "nothing":
        return 0
    shutil.copytree(source, target, dirs_exist_ok=True)
    if way in {"hang", "stubborn"}:
        wait(deaf=way == "stubborn")
    if way == "chatter":
        print("\n".join(f"line {n}" for n in range(5000)))
        print("x" * 100_000)
    if way != "unmended":
        mend(target)
    weights = target / "model.safetensors"
    if way == "junk":
        weights.write_bytes(b"no weights at all")
    if way == "pickles":
        weights.rename(target / "pytorch_model.bin")
    if way == "unpickle":
        (target / "pytorch_model.bin").unlink()
        weights.write_bytes(struct.pack("<Q", 2) + b"{}")
    if way == "link":
        (target / "extra.json").symlink_to("/etc/hostname")
    return 0


def mend(target: Path) -> None:
    config = json.loads((target / "config.json").read_text())
    config.pop("quantization_config", None)
    (target / "config.json").write_text(json.dumps(config))


def wait(*, deaf: bool) -> None:
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = SLEEPER.format(DEAF if deaf else "")
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    print(f"waiting {os.getpid()} {child.pid}", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    sys.exit(main())
