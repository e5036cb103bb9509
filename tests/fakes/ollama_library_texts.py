"""What the practice library says of its models beyond what the registry knows.

Pulls and dates are made up; a family that a test adds gets a plain text.
"""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One family; its `readme` is Markdown."""

    description: str
    pulls: int = 1_200
    updated: datetime = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    readme: str = ""


_GEMMA_README = """\
## Gemma 3

Lightweight models of the **Gemma** family that take text & images, with a context of
128K tokens. See [the report](https://example.org/gemma3) and `ollama run gemma3`.

### Sizes

- 270M, 1B: text
- 4B, 12B, 27B: text and images

| tag | memory |
|---|---|
| 4b | 3.3GB |
"""
STORIES = {
    "gemma3": Story(
        description="The current, most capable model that runs on a single GPU.",
        pulls=41_700_000,
        updated=datetime(2026, 6, 30, 16, 54, tzinfo=UTC),
        readme=_GEMMA_README,
    ),
    "llama3.2": Story(
        description="Meta's Llama 3.2 goes small with 1B and 3B models.",
        pulls=66_400_000,
        updated=datetime(2024, 9, 25, 21, 9, tzinfo=UTC),
        readme="# Llama 3.2\n\nOptimised for dialogue, summaries & tools.\n",
    ),
    "llama3.3": Story(
        description="New state of the art 70B model, close to Llama 3.1 405B.",
        pulls=3_900_000,
        updated=datetime(2024, 12, 7, 0, 4, tzinfo=UTC),
    ),
    "qwen3": Story(
        description="The newest models of the Qwen series, dense and MoE.",
        pulls=21_400_000,
        updated=datetime(2026, 7, 1, 16, 54, tzinfo=UTC),
        readme="Thinks <before> it answers.\n",
    ),
    "phi3": Story(
        description="Phi-3 is a family of lightweight 3B models by Microsoft.",
        pulls=16_000_000,
        updated=datetime(2024, 10, 30, 12, 0, tzinfo=UTC),
    ),
    "nomic-embed-text": Story(
        description="A high-performing open embedding model with a large context.",
        pulls=58_200_000,
        updated=datetime(2024, 2, 21, 10, 15, tzinfo=UTC),
    ),
    "gpt-oss": Story(
        description="OpenAI's open-weight models, hosted in the cloud.",
        pulls=7_300_000,
        updated=datetime(2025, 10, 14, 8, 0, tzinfo=UTC),
    ),
    "practice-tiny": Story(
        description="A model of four megabytes that says what it was told.",
        pulls=649_200,
        updated=datetime(2025, 3, 3, 3, 3, tzinfo=UTC),
    ),
    "somebody/practice-tiny": Story(
        description="practice-tiny by somebody, quantized again.",
        pulls=312,
        updated=datetime(2025, 4, 4, 4, 4, tzinfo=UTC),
        readme='<img src="/x.png" onerror="alert(1)">\n\nMine.\n',
    ),
}


def story_of(family: str) -> Story:
    return STORIES.get(family) or Story(description=f"What there is of {family}.")


def short_count(number: int) -> str:
    """Return a number as the site writes it: 21.4M, 649.2K, 312."""
    for step, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= step:
            return f"{number / step:.1f}".removesuffix(".0") + letter
    return str(number)


def short_size(size_bytes: int) -> str:
    """Return bytes as the site writes them: 6.6GB, 17GB, 815MB."""
    for step, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if size_bytes >= step:
            number = size_bytes / step
            return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"
    return f"{size_bytes}B"


def short_context(tokens: int) -> str:
    return f"{tokens // 1024}K" if tokens >= 1024 else str(tokens)


def long_date(moment: datetime) -> str:
    """Return `Jul 1, 2026 4:54 PM UTC`."""
    hour = moment.hour % 12 or 12
    return f"{moment:%b} {moment.day}, {moment.year} {hour}:{moment:%M %p} UTC"
