"""Searches lists of models for what a person types. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain import ModelInfo


def best_matches(models: Sequence[ModelInfo], query: str) -> tuple[ModelInfo, ...]:
    """The models that contain every word of `query`, best match first; equal matches keep their order.

    The best match is the whole name or label, then a word at its start, then at the start of a word in it, then
    anywhere.
    """
    words = query.lower().split()
    if not words:
        return tuple(models)
    scored = ((_score(info, words), position) for position, info in enumerate(models))
    return tuple(
        models[position] for score, position in sorted((s, p) for s, p in scored if s is not None)
    )


def fair_shares(wanted: Sequence[int], limit: int) -> list[int]:
    """How many entries each group may show: equal shares; what a group does not need goes to the others."""
    shares = [0] * len(wanted)
    open_groups = [position for position, count in enumerate(wanted) if count]
    left = limit
    while open_groups and left > 0:
        each = max(1, left // len(open_groups))
        for position in open_groups:
            more = min(each, wanted[position] - shares[position], left)
            shares[position] += more
            left -= more
        open_groups = [position for position in open_groups if shares[position] < wanted[position]]
    return shares


def _score(info: ModelInfo, words: Sequence[str]) -> int | None:
    names = (info.ref.name.lower(), info.label.lower())
    if " ".join(words) in names:
        return -1
    total = 0
    for word in words:
        score = min(_word_score(name, word) for name in names)
        if score > 2 and word in info.provider_label.lower():
            score = 2
        if score > 2:
            return None
        total += score
    return total


def _word_score(text: str, word: str) -> int:
    if text.startswith(word):
        return 0
    at = text.find(word)
    if at < 0:
        return 3
    while at >= 0:
        if _starts_word(text, at):
            return 1
        at = text.find(word, at + 1)
    return 2


def _starts_word(text: str, at: int) -> bool:
    before, here = text[at - 1], text[at]
    return not before.isalnum() or before.isdigit() != here.isdigit()
