"""Names of models: one grammar for paths, bodies, forms and the terminal.

`segment/segment:tag`, ASCII letters, digits, `_ . -`; no segment or tag `.` or `..`; at
most 200 characters. What a provider makes of a name (tags, letter case) is its own.
"""

from __future__ import annotations

import re

LONGEST_NAME = 200
_PART = r"(?!\.{1,2}(?:[/:]|$))[A-Za-z0-9_.-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*(?::{_PART})?", re.ASCII)
WHAT_IS_WANTED = (
    "must be a model's name such as llama3.2:3b or org/model: ASCII letters, digits, "
    "_ . - and /, one :tag at the end, at most 200 characters"
)

COMMIT_DIGITS = 40
# A commit, or what was made of one on this machine: `<commit>-<what>`.
REVISION = r"[0-9a-f]{40}(?:-[a-z0-9][a-z0-9_-]{0,58})?"
_OF_COMMIT = re.compile(REVISION)


def is_of_commit(revision: str) -> bool:
    return _OF_COMMIT.fullmatch(revision) is not None


def short_revision(revision: str) -> str:
    """Twelve digits of the commit, and what was made of it."""
    return revision[:12] + revision[COMMIT_DIGITS:]


def is_model_name(name: str) -> bool:
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


def model_name(value: str) -> str:
    """The name without surrounding spaces; raises ValueError saying what is wanted."""
    name = value.strip()
    if not is_model_name(name):
        raise ValueError(WHAT_IS_WANTED)
    return name
