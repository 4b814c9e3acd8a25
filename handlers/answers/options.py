"""How one answer is to be shown, as far as that is decided before it is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How this answer is to be shown."""

    native: bool
    """Slack's native streaming may be used: only the asker watches."""
    model: str
    """The model's label, for the footer."""
    left: int | None
    """Messages left in the chat, when it is time to say so."""
    others: Callable[[], Awaitable[frozenset[str]]]
    """Asks for the messages of ours in this thread that show other things."""
