"""The interface between Bobbin and the servers that run models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bot.domain import WHOLE_CHAT, Attachment, ModelInfo, ModelRef, PromptFacts, Role
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.domain.stream_events import (
    StreamEvent,
    TextDelta,
    TextRetracted,
)
from bot.domain.tool_calls import Tool, ToolRound
from bot.providers.request_body import ReadAttachment, nothing_to_read
from bot.runtime.memory import MemoryReservation

ProviderKind = Literal[
    "openai", "openrouter", "venice", "ollama",
    "anthropic", "gemini", "groq", "mistral", "deepseek", "xai", "together",
]  # fmt: skip
"""Whose dialect of the common format a server speaks."""


MAX_ANSWER_LENGTH = 200_000
"""Characters: the same limit as for one API message."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One source of models, as the operator configured it."""

    name: str
    """Short, stable, `[a-z][a-z0-9]*`: the first half of a `ModelRef`."""
    label: str
    base_url: str
    """Up to, and without, `/chat/completions`; for Ollama the server's root. A query (`?version=1`) belongs to it."""
    api_key: str | None = field(default=None, repr=False)
    default_model: str | None = None
    models: tuple[str, ...] = ()
    """The models to offer if the server has no list of its own."""
    kind: ProviderKind = "openai"
    optional: bool = False
    """Not configured by the operator: used if it is found running, and not reported if it is not."""

    def url(self, path: str, without: str = "") -> str:
        """The address of one of the server's functions. `without`: a suffix that is removed from the base first."""
        base, mark, query = self.base_url.partition("?")
        return base.rstrip("/").removesuffix(without) + path + mark + query


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a request, as the model reads it."""

    role: Role
    text: str = field(repr=False)
    images: tuple[Attachment, ...] = ()
    rounds: tuple[ToolRound, ...] = field(default=(), repr=False)
    """For an answer: its model's turns before the text, in which it called tools."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is sent to a model: the system prompt, then the messages in order."""

    model: ModelRef
    system: str = field(repr=False)
    messages: Sequence[ChatMessage] = field(repr=False)
    max_tokens: int | None = None
    max_characters: int = MAX_ANSWER_LENGTH
    """Text beyond this is cut off, and the call ended."""
    max_seconds: float | None = None
    """From the request to the end of the answer, which is cut there; None: `Timing.longest_answer`."""
    facts: PromptFacts = WHOLE_CHAT
    """How much of a chat it contains."""
    options: ModelOptions = NO_OPTIONS
    tools: Sequence[Tool] = ()
    """The tools that the model may call."""
    rounds: Sequence[ToolRound] = field(default=(), repr=False)
    """The turns after the messages, in which the model called tools."""
    may_call: bool = True
    """False: the model must answer now, with the results it has."""
    pictures: bool = False
    """Pictures are requested too, from a model that makes them."""
    reservation: MemoryReservation | None = field(default=None, repr=False, compare=False)
    """Where the bytes of large requests and answers, such as pictures, are counted."""
    read: ReadAttachment = field(default=nothing_to_read, repr=False, compare=False)
    """Reads the attachments of the messages."""


async def whole_text(events: AsyncIterator[StreamEvent]) -> str:
    """The whole text of an answer that nobody reads while it is being written. Raises ProviderError."""
    parts: list[str] = []
    async for event in events:
        if isinstance(event, TextDelta):
            parts.append(event.text)
        elif isinstance(event, TextRetracted):
            parts.clear()
    return "".join(parts)


class Provider(Protocol):
    """One configured source of models."""

    name: str
    """Short, stable, `[a-z][a-z0-9]*`: the first half of a `ModelRef`."""
    label: str
    """The heading of its group in the menu."""
    default_model: str | None
    """The provider's own id of its default model, if it has one."""
    optional: bool
    """Whether the operator did not configure it, so that its absence is not a fault."""

    async def models(self) -> Sequence[ModelInfo]:
        """Its models, read from the server now. Raises ProviderError."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        """Yields deltas as they arrive, and `Done` at the end. Raises ProviderError.

        Each `Usage` replaces the previous one; it may come before an error, because the call is billed anyway.

        Every call ends: it is cut (`Done("length")`) at the request's limits, and silence is a ModelTimeout.

        Closing the iterator, or cancelling the task that reads it, ends the HTTP request immediately.
        """
        ...
