"""Model calls, as the ledger keeps them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.domain import Answer, Chat, ModelRef, Usage
from bot.errors import ProviderError, StorageError
from bot.stream_events import (
    Done,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolsCalled,
)

BYTES_PER_TOKEN = 3
"""For estimates. Careful: in most languages a token has more bytes."""


class CallKind(StrEnum):
    """What a model was called for. The names are stored."""

    ANSWER = "answer"
    TITLE = "title"
    SUMMARY = "summary"
    TRANSCRIPTION = "transcription"


class CallOutcome(StrEnum):
    """How a call ended. The names are stored."""

    ASKED = "asked"
    """Not known: it is being made, or its process died. Then it counts by an estimate of what it had used so far."""
    DONE = "done"
    CUT = "cut"
    """A limit was reached; what came before it counts."""
    TOOLS = "tools"
    """Ended with tool calls: the answer goes on with another model call."""
    STOPPED = "stopped"
    """Ended by a user, or because it took too long."""
    FAILED = "failed"
    REPEATED = "repeated"
    """Failed, and the model was asked again for the same answer automatically."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose usage a call is."""

    team: str
    user: str | None
    """Slack id of the user whose message led to it."""
    channel: str | None
    """Slack id of the channel in which its chat is; None for a chat of the API alone."""
    chat_id: str
    """Empty for a message whose chat is not stored yet."""


def payer_of(chat: Chat, user: str | None) -> Payer:
    """`user`: Slack id of who wrote or pressed what the model is called for."""
    return Payer(chat.team, user, chat.thread.channel if chat.thread else None, chat.id)


@dataclass(frozen=True, slots=True)
class Call:
    """One model call: one row of the ledger."""

    id: str
    payer: Payer
    kind: CallKind
    model: ModelRef
    outcome: CallOutcome = CallOutcome.ASKED
    usage: Usage | None = None
    """What its provider reported, in mid-answer too; None: unknown, which is not zero."""
    seconds: float | None = None
    error: str | None = None
    """With FAILED and REPEATED: the `code` of the `ProviderError`."""
    answer_id: str | None = None
    estimated_tokens: int | None = None
    """What it probably used where its provider told nothing: prompt and text together, by our own estimate."""
    estimated_cost: float | None = None
    """US dollars of those tokens, at what the model has cost the same user lately; None: that is unknown."""

    def repeated(self) -> Call:
        """The same, now that the model is asked again."""
        return replace(self, outcome=CallOutcome.REPEATED)


@dataclass(eq=False)
class Meter:
    """Reads along while a call is made."""

    asked: Call
    prompt_tokens: int = 0
    """Of what is sent, by our own estimate."""
    usage: Usage | None = None
    received: int = 0
    """Bytes of text, reasoning and tool calls."""
    cut: bool = False
    called_tools: bool = False
    started: float = field(default_factory=time.monotonic)

    def note(self, event: StreamEvent) -> None:
        """Takes notice of what a model's stream yields."""
        if isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Done):
            self.cut = event.reason == "length"
        elif isinstance(event, TextDelta | ReasoningDelta):
            self.received += _size(event.text)
        elif isinstance(event, ToolsCalled):
            self.called_tools = True
            self.received += sum(_size(call.arguments) for call in event.calls)

    @property
    def outcome(self) -> CallOutcome:
        """How a call ends that ends well."""
        if self.called_tools:
            return CallOutcome.TOOLS
        return CallOutcome.CUT if self.cut else CallOutcome.DONE

    @property
    def tokens(self) -> int:
        """What the call has used so far: as its provider told, else by our own estimate."""
        if self.usage is not None:
            return self.usage.prompt_tokens + self.usage.completion_tokens
        return self.prompt_tokens + self.received // BYTES_PER_TOKEN

    def call(self, outcome: CallOutcome, error: str | None = None) -> Call:
        """The call as it has ended now."""
        return replace(
            self.asked,
            outcome=outcome,
            usage=self.usage,
            estimated_tokens=self._estimate(outcome) if self.usage is None else None,
            seconds=time.monotonic() - self.started,
            error=error,
        )

    @property
    def is_free(self) -> bool:
        """Nothing has come yet that anybody would charge for, should the call fail."""
        return self.usage is None and not self.received

    def _estimate(self, outcome: CallOutcome) -> int | None:
        """None for a call that was refused: nobody charges for it."""
        refused = outcome is CallOutcome.FAILED and self.is_free
        return None if refused else self.tokens


def _size(text: str) -> int:
    """Bytes of a text, which may have half a character."""
    return len(text.encode("utf-8", "replace"))


@contextmanager
def metered(asked: Call, ended: list[Call], prompt_tokens: int = 0) -> Iterator[Meter]:
    """Meters the call that is made inside the block, and adds it to `ended`, however it ends.

    A StorageError says that it was not made: what was to be sent could not be read.
    `prompt_tokens`: of what is sent, by our own estimate.
    """
    meter = Meter(asked, prompt_tokens)
    outcome: CallOutcome | None = CallOutcome.FAILED
    error = None
    try:
        yield meter
        outcome = meter.outcome
    except StorageError:
        outcome = None
        raise
    except asyncio.CancelledError:
        outcome = CallOutcome.STOPPED
        raise
    except ProviderError as failure:
        error = failure.code
        raise
    finally:
        if outcome is not None:
            ended.append(meter.call(outcome, error))


def call_for_answer(call_id: str, chat: Chat, answer: Answer, model: ModelRef) -> Call:
    return Call(call_id, payer_of(chat, answer.asker), CallKind.ANSWER, model, answer_id=answer.id)
