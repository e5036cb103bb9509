"""The words the practice neighbours speak, and how many tokens they are.

Every fake takes its answers here. One word is one token and the words depend
only on the prompt, so a test can foretell text and usage to the last token.
"""

import functools
import hashlib
import random
from dataclasses import dataclass

from tests.fakes.tool_calls import ToolCall

SPOKEN = (
    "las rzeka światło łódź żaba źródło gęś dzień noc śnieg chleb sól "
    "river stone window morning garden naïve café letter quiet bridge harbour "
    "Straße Fluß Mühle schön grün Vögel Bäume Übung Schnee Brücke Käse Gärten"
)
WORDS = SPOKEN.split()
SHORTEST, LONGEST = 12, 40
THINKING_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One finished answer; the tokens joined without a separator are its text."""

    prompt_tokens: int
    thinking: tuple[str, ...]
    tokens: tuple[str, ...]
    finish_reason: str
    calls: tuple[ToolCall, ...] = ()  # of tools, instead of words

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def completion_tokens(self) -> int:
        return len(self.thinking) + len(self.tokens) + len(self.calls)


def count_tokens(text: str) -> int:
    """Return the number of words, which here is the number of tokens."""
    return len(text.split())


@functools.lru_cache(maxsize=64)  # many clients with one prompt
def answer(
    prompt: str, *, limit: int | None, length: int | None, thinks: bool = False
) -> Answer:
    """Return the answer to a prompt: `length` tokens, cut off after `limit`.

    Without a length the prompt decides it; a limit of None, zero or less is none.
    """
    seed = random.Random(hashlib.sha256(prompt.encode()).digest())
    natural = length or seed.randint(SHORTEST, LONGEST)
    thinking = _spoken(seed, THINKING_TOKENS if thinks else 0)
    words = _spoken(seed, natural)
    room = limit if limit and limit > 0 else len(thinking) + natural
    said = words[: max(0, room - len(thinking))]
    return Answer(
        prompt_tokens=count_tokens(prompt),
        thinking=thinking[:room],
        tokens=said,
        finish_reason="stop" if len(said) == natural else "length",
    )


def embedding(text: str, size: int = 8) -> list[float]:
    """Return a vector of unit length that depends only on the text."""
    seed = random.Random(text)
    numbers = [seed.uniform(-1, 1) for _ in range(size)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def _spoken(seed: random.Random, count: int) -> tuple[str, ...]:
    words = (seed.choice(WORDS) for _ in range(count))
    return tuple(f" {word}" if place else word for place, word in enumerate(words))
