"""The steps of an answer: what its model did besides writing text. Pure.

A step is seen while it goes on (in the status line), and stands in the answer's message once it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MAX_STEPS = 40
"""Of one answer: what begins after that is not shown or stored."""
MAX_NAME_LENGTH = 150
MAX_DETAIL_LENGTH = 2_000
"""Characters of what a step lets see; the rest is cut off."""


class StepKind(StrEnum):
    """What a model does. The names are stored, and part of the API."""

    THINKING = "thinking"
    SEARCH = "search"
    """Searching the web, which the provider does itself."""
    DOCUMENT = "document"
    """Reading a scanned document, which the provider does itself; known only where it refuses."""
    TOOLS = "tools"
    """Being offered tools; known only where their definitions are too long for the model."""
    TOOL = "tool"
    """Calling a tool."""


class StepStatus(StrEnum):
    """How far a step is. The names are stored, and part of the API."""

    RUNNING = "running"
    WAITING = "waiting"
    """For a person's permission."""
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    """A person did not permit it."""
    UNKNOWN = "unknown"
    """Nobody knows whether it took effect: the process that did it died."""

    @property
    def ended(self) -> bool:
        return self not in (StepStatus.RUNNING, StepStatus.WAITING)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an answer, as it is now."""

    number: int
    """1, 2, 3 … within the answer, in the order in which they began. They may end in any order."""
    kind: StepKind
    name: str
    """Of a tool; empty for steps that their kind names."""
    status: StepStatus
    seconds: float | None = None
    """From its beginning to its end; None before that, and where the beginning is unknown."""
    detail: str = field(default="", repr=False)
    """What people may see of it when they open it; never part of the answer's text."""
