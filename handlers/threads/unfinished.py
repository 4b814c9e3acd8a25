"""What a process that ended left undone in a thread, and how another finishes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unfinished:
    """One piece of work that is to be finished."""

    kind: str
    id: str
    """Of the chat or the chat request: with `kind` it tells whether the same is being finished already."""
    team: str
    """The workspace whose Slack it needs."""
    finish: Callable[[], Awaitable[None]]
    """Does it. Raises BobbinError: then it is still unfinished."""
