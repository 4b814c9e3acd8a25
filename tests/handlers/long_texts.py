"""Long answers whose sentences, rows and lines of code are numbered, so that a lost or repeated one is found."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

_MARK = re.compile(r"\bq\d+\b")
_WORDS = (
    "river",
    "stone",
    "lantern",
    "over",
    "under",
    "quiet",
    "morning",
    "the",
    "a",
    "of",
    "bridge",
    "winter",
)


def essay(words: int, seed: int = 0) -> str:
    """About so many words of prose, lists, tables and code, with a mark (`q17`) in each sentence, row and line."""
    chance = random.Random(seed)
    numbers = iter(range(words))
    written, parts = 0, []
    while written < words:
        kind = chance.choice(("prose", "prose", "prose", "list", "table", "code"))
        part = _PARTS[kind](chance, numbers)
        written += len(part.split())
        parts.append(part)
    return "\n\n".join(parts)


def marks(texts: Iterable[str]) -> list[str]:
    """The marks in the texts, in order."""
    return [mark for text in texts for mark in _MARK.findall(text)]


def _random_words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(count))


def _prose(chance: random.Random, numbers: Iterable[int]) -> str:
    sentences = [
        f"Then q{next(iter(numbers))} {_random_words(chance, 10)}."
        for _ in range(chance.randint(3, 9))
    ]
    return " ".join(sentences)


def _list(chance: random.Random, numbers: Iterable[int]) -> str:
    return "\n".join(
        f"- **q{next(iter(numbers))}** {_random_words(chance, 6)}"
        for _ in range(chance.randint(3, 8))
    )


def _table(chance: random.Random, numbers: Iterable[int]) -> str:
    rows = [
        f"| q{next(iter(numbers))} | {_random_words(chance, 3)} | {chance.randint(1, 999)} |"
        for _ in range(12)
    ]
    return "\n".join(("| Name | Words | Count |", "| --- | --- | ---: |", *rows))


def _code(chance: random.Random, numbers: Iterable[int]) -> str:
    lines = [
        f"value = call(q{next(iter(numbers))}, '{_random_words(chance, 3)}')"
        for _ in range(chance.randint(4, 20))
    ]
    return "\n".join(("```python", *lines, "```"))


_PARTS = {"prose": _prose, "list": _list, "table": _table, "code": _code}
