"""A clean environment before Django's settings are read (`-p tests.environment`).

DATABASE_URL and REDIS_URL pass through, which choose the set-up under test, and where
foreign programs are.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

PASSED_ON = (
    *("DATABASE_URL", "REDIS_URL"),
    *("VENOM_CHROMIUM", "VENOM_VLLM_RIG", "VENOM_HUB_RIG"),
)
OURS = ("VENOM_", "OLLAMA_", "VLLM_", "OPENAI_", "GOOGLE_", "HF_", "MODELS_", "LLM_")

for name in list(os.environ):
    if name.startswith(OURS) and name not in PASSED_ON:
        del os.environ[name]

# Tests that run side by side (pytest-xdist) each have a Redis database of their own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and os.environ.get("REDIS_URL"):
    server, _slash, number = os.environ["REDIS_URL"].rpartition("/")
    own = int(number) - int(WORKER.removeprefix("gw"))
    os.environ["REDIS_URL"] = f"{server}/{own}"

# Short, because a unix socket's path has at most about 107 bytes.
folder = tempfile.mkdtemp(prefix="venom-test-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ["VENOM_DATA_DIR"] = folder
os.environ["VENOM_NODE"] = "test-node"
os.environ["VENOM_SKIP_BOOTSTRAP"] = "1"
os.environ["VENOM_ENV_FILE"] = os.devnull  # a developer's .env stays out
# A port where nothing listens: no test may reach a real neighbour by accident.
NEIGHBOURS = (
    *("OLLAMA_BASE_URL", "OLLAMA_REGISTRY_URL", "OLLAMA_LIBRARY_URL"),
    *("HF_ENDPOINT", "OPENAI_BASE_URL", "GOOGLE_BASE_URL"),
    *("NEWS_BLOG_FEED_URL", "NEWS_PAPERS_URL"),
)
os.environ.update(dict.fromkeys(NEIGHBOURS, "http://127.0.0.1:9"))
