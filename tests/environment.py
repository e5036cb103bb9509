"""A clean environment before Django's settings are read (`-p tests.environment`).

Only DATABASE_URL and REDIS_URL pass through: they choose the set-up under test.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

PASSED_ON = ("DATABASE_URL", "REDIS_URL", "VENOM_CHROMIUM")
OURS = ("VENOM_", "OLLAMA_", "VLLM_", "OPENAI_", "GOOGLE_", "HF_", "MODELS_", "LLM_")

for name in list(os.environ):
    if name.startswith(OURS) and name not in PASSED_ON:
        del os.environ[name]

# Short, because a unix socket's path has at most about 107 bytes.
folder = tempfile.mkdtemp(prefix="venom-test-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ["VENOM_DATA_DIR"] = folder
os.environ["VENOM_NODE"] = "test-node"
os.environ["VENOM_SKIP_BOOTSTRAP"] = "1"
os.environ["VENOM_ENV_FILE"] = os.devnull  # a developer's .env stays out
# A port where nothing listens: no test may reach a real runtime by accident.
os.environ["OLLAMA_BASE_URL"] = "http://127.0.0.1:9"
