"""The events of a model's stream, independent of the provider.

A provider turns its server's chunks into these events, and the generator turns them into the answer. Anything new that
a stream can contain (a picture, a tool call) is a new event here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.domain.answers import Usage
from bot.domain.chats import Source
from bot.domain.steps import StepKind, StepStatus
from bot.domain.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of an answer's text, as the model sent it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The model is reasoning: its thinking step begins or continues."""

    text: str = field(default="", repr=False)
    """The reasoning text that the model revealed; not part of the answer's text."""


@dataclass(frozen=True, slots=True)
class StepChanged:
    """A step of the answer begins, or has changed. Several may run at once, and end in any order."""

    key: str
    """Identifies the step within the answer: an id from the server, or of a tool call."""
    kind: StepKind
    status: StepStatus
    name: str = ""
    """The tool's name."""
    detail: str = field(default="", repr=False)
    """What people may see of it; replaces the previous detail unless empty."""


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
    """The model is writing a tool call, which shows that it is alive."""


@dataclass(frozen=True, slots=True)
class ToolsCalled:
    """The model has ended its turn with tool calls, and will continue once it has their results."""

    calls: tuple[ToolCall, ...]
    extra: str = field(default="", repr=False)
    """See `ToolRound.extra`."""


@dataclass(frozen=True, slots=True)
class MadeImage:
    """A picture that the model has made."""

    load: Callable[[], Awaitable[bytes | None]] = field(repr=False)
    """Its bytes as the server sent them, untrusted and of any size up to a limit; None if they cannot be fetched."""
    arrived: bool = True
    """Whether the bytes have arrived; else `load` fetches them."""


@dataclass(frozen=True, slots=True)
class ImagesMade:
    """All pictures of the call so far, in order. Replaces the previous event, because a picture may still grow."""

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
