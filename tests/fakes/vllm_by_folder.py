"""The practice vLLM, misbehaving as the folder of its model says.

    python -m tests.fakes.vllm_by_folder serve FOLDER --served-model-name a --port 8001

`practice.json` in the folder holds the tricks (`vllm_tricks.py`), so that one model
fails where the one before it, started by the same command, is good.
"""

import os
import sys
from pathlib import Path

from tests.fakes.vllm_serve import main
from tests.fakes.vllm_tricks import VARIABLE

if __name__ == "__main__":
    told = [Path(word) / "practice.json" for word in sys.argv[1:] if word[:1] == "/"]
    os.environ[VARIABLE] = next((str(path) for path in told if path.is_file()), "")
    raise SystemExit(main())
