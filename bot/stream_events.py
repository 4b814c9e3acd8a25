"""What a model's stream says, one event at a time, whatever its provider calls it.

A provider turns its server's chunks into these events, the generator turns them into the answer. A new kind of thing
that a stream tells (a picture, a tool call) is a new event here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.domain import Source, Usage
from bot.steps import StepKind, StepStatus
from bot.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of an answer's text, as the model sent it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The model is reasoning: its thinking step begins, or goes on."""

    text: str = field(default="", repr=False)
    """What the model let see of it; no part of the answer's text."""


@dataclass(frozen=True, slots=True)
class StepChanged:
    """A step of the answer begins, or has changed. Several may go on at once, and end in any order."""

    key: str
    """What tells the steps of one answer apart: an id of the server's, or of a tool call."""
    kind: StepKind
    status: StepStatus
    name: str = ""
    """Of a tool."""
    detail: str = field(default="", repr=False)
    """What people may see of it; replaces what was there before, unless empty."""


@dataclass(frozen=True, slots=True)
class Done:
    """The model has finished."""

    reason: str = "stop"
    """`stop`, `length` (it reached its token limit), or the provider's own word."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of an answer, in the provider's order: at most ten."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class TextRetracted:
    """All text so far was reasoning and does not belong to the answer."""


@dataclass(frozen=True, slots=True)
class CallDelta:
    """The model is writing a tool call. Shows that it is alive."""


@dataclass(frozen=True, slots=True)
class ToolsCalled:
    """The model has ended its turn with tool calls, and goes on once it knows what they return."""

    calls: tuple[ToolCall, ...]
    extra: str = field(default="", repr=False)
    """See `ToolRound.extra`."""


@dataclass(frozen=True, slots=True)
class MadeImage:
    """A picture that the model has made."""

    load: Callable[[], Awaitable[bytes | None]] = field(repr=False)
    """Its bytes as the server sent them, untrusted and of any size up to a bound; None if they cannot be had."""
    arrived: bool = True
    """They are here; else `load` fetches them."""


@dataclass(frozen=True, slots=True)
class ImagesMade:
    """All pictures of the call so far, in order. Replaces the one before: a picture may still grow."""

    images: tuple[MadeImage, ...]


StreamEvent = (
    TextDelta
    | TextRetracted
    | ReasoningDelta
    | StepChanged
    | Usage
    | Sources
    | ImagesMade
    | CallDelta
    | ToolsCalled
    | Done
)
