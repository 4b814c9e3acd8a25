"""Work that a dead process left undone in a thread, and how another process finishes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unfinished:
    """One piece of work to be finished."""

    kind: str
    id: str
    """Of the chat, the chat request or the thread; together with `kind` it identifies the work."""
    team: str
    """The workspace whose Slack it needs."""
    finish: Callable[[], Awaitable[None]]
    """Finishes it. Raises BobbinError; then it is still unfinished."""
