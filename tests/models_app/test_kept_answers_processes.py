"""Kept answers between processes, each on its own connection, and over a restart."""

from __future__ import annotations

import pytest

from tests.product import Product
from tests.threads import at_once

pytestmark = pytest.mark.slow

# Each says that it is there; whoever asks does so until the other is there too.
TOGETHER = """
import pathlib, time
from models_app.services.kept_answers import kept
folder = pathlib.Path({folder!r})
(folder / "there-{name}").touch()
def ask():
    with (folder / "asked").open("a") as asked:
        asked.write("{name}")
    ends = time.monotonic() + 12
    while len(list(folder.glob("there-*"))) < 2 and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(0.5)
    return "from {name}"
print(kept("ollama", "trending?limit=50", ask).payload)
"""
LATER = """
from models_app.services.kept_answers import kept
answer = kept("ollama", "trending?limit=50", lambda: 1 // 0)
print(answer.payload, answer.stale)
"""


@pytest.fixture
def product(tmp_path):
    return Product(tmp_path / "data")


def test_two_processes_ask_once_and_a_later_one_not_at_all(product, tmp_path):
    scripts = [TOGETHER.format(folder=str(tmp_path), name=name) for name in "ab"]

    said = {text.strip() for text in at_once(product.script, *[(s,) for s in scripts])}

    asked = (tmp_path / "asked").read_text()
    assert asked in ("a", "b")
    assert said == {f"from {asked}"}
    assert product.script(LATER).strip() == f"from {asked} False"
