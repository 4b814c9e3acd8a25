"""The steps of an answer: what its model did besides writing text. Pure.

The status line shows a step while it is running; the answer's message shows it after it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MAX_STEPS = 40
"""Of one answer: later steps are neither shown nor stored."""
MAX_NAME_LENGTH = 150
MAX_DETAIL_LENGTH = 2_000
"""Characters of a step's visible detail; the rest is cut off."""


class StepKind(StrEnum):
    """What a model does. The names are stored, and part of the API."""

    THINKING = "thinking"
    SEARCH = "search"
    """The provider searches the web."""
    DOCUMENT = "document"
    """The provider reads a scanned document; recorded only if it refuses to."""
    TOOLS = "tools"
    """The model is offered tools; recorded only if their definitions are too long for the model."""
    TOOL = "tool"
    """The model calls a tool."""


class StepStatus(StrEnum):
    """How far a step has come. The names are stored, and part of the API."""

    RUNNING = "running"
    WAITING = "waiting"
    """Waiting for a person's permission."""
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    """A person denied it."""
    UNKNOWN = "unknown"
    """It is unknown whether it took effect, because the process that did it died."""

    @property
    def ended(self) -> bool:
        return self not in (StepStatus.RUNNING, StepStatus.WAITING)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an answer, as it is now."""

    number: int
    """1, 2, 3 … within the answer, in the order in which the steps began. They may end in any order."""
    kind: StepKind
    name: str
    """The tool's name; empty for steps that their kind describes."""
    status: StepStatus
    seconds: float | None = None
    """From its beginning to its end; None while it is running, or if the beginning is unknown."""
    detail: str = field(default="", repr=False)
    """What people see when they expand it; never part of the answer's text."""
