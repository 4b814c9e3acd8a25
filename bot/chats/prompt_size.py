"""Estimates how many tokens a prompt has, and how much of a model's window it may take. Pure.

A model's own count corrects later estimates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bot.providers.base import ChatMessage, ModelRequest
from bot.usage.estimate import tokens_of_round, tokens_of_text

TOKENS_PER_IMAGE = 1_500
MAX_CORRECTION = 5.0
"""The largest factor by which a model's own count may correct the estimate, upwards or downwards."""
_MAX_RESERVE = 4_096
"""The most tokens of the window that are reserved for the answer; a quarter of a small window."""


def tokens_of_turns(turns: Iterable[ChatMessage]) -> int:
    return sum(
        tokens_of_text(turn.text)
        + TOKENS_PER_IMAGE * len(turn.images)
        + sum(map(tokens_of_round, turn.rounds))
        for turn in turns
    )


def tokens_of_request(request: ModelRequest) -> int:
    return tokens_of_text(request.system) + tokens_of_turns(request.messages)


def correction(measure: tuple[int, int] | None) -> float:
    """The factor by which to correct an estimate. `measure`: the estimated and the counted tokens of an earlier
    prompt.
    """
    if measure is None:
        return 1.0
    estimated, counted = measure
    return min(MAX_CORRECTION, max(1 / MAX_CORRECTION, counted / estimated))


SHARE_OF_TOOLS = 0.5
"""The share of a prompt's room that tool definitions may take."""


def room_for_tools(window: int | None) -> float:
    """The estimated tokens that tool definitions may take. `window`: the model's, if known."""
    return math.inf if window is None else room_for_prompt(window) * SHARE_OF_TOOLS


def room_for_prompt(window: int) -> float:
    """The tokens of a context window that a prompt may fill."""
    return window - min(_MAX_RESERVE, window // 4)
