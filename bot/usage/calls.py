"""Model calls, as recorded in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.domain import Answer, Chat, ModelRef, Price, Usage
from bot.domain.stream_events import (
    Done,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolsCalled,
)
from bot.errors import ProviderError, StorageError
from bot.usage.estimate import BYTES_PER_TOKEN

PriceOf = Callable[[ModelRef], Price | None]
"""Looks up the price of a model; None if its provider's list has none."""


class CallKind(StrEnum):
    """The purpose of a model call. The names are stored."""

    ANSWER = "answer"
    TITLE = "title"
    SUMMARY = "summary"
    TRANSCRIPTION = "transcription"


class CallOutcome(StrEnum):
    """How a call ended. The names are stored."""

    ASKED = "asked"
    """Unknown: the call is in progress, or its process died. Then it counts by an estimate of what it had used so far.
    """
    DONE = "done"
    CUT = "cut"
    """A limit was reached; the text before it counts."""
    TOOLS = "tools"
    """Ended with tool calls: the answer continues with another model call."""
    STOPPED = "stopped"
    """Ended by a user, or because it took too long."""
    FAILED = "failed"
    REPEATED = "repeated"
    """Failed, and the model was asked again for the same answer automatically."""


@dataclass(frozen=True, slots=True)
class Payer:
    """The user, channel and chat that a call is charged to."""

    team: str
    user: str | None
    """Slack id of the user whose message led to it."""
    channel: str | None
    """Slack id of the chat's channel; None for a chat that belongs to the API alone."""
    chat_id: str
    """Empty for a message whose chat is not stored yet."""


def payer_of(chat: Chat, user: str | None) -> Payer:
    """`user`: Slack id of the user whose message or button press needs the model."""
    return Payer(chat.team, user, chat.thread.channel if chat.thread else None, chat.id)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call in progress counts by if its process dies."""

    tokens: int
    listed_cost: float | None = None
    """US dollars, as the provider reported or by the prices in its list; None: unknown."""


def estimate_before(prompt_tokens: int, price: Price | None) -> Estimate:
    """The estimate of a call of which nothing has arrived yet."""
    return Estimate(prompt_tokens, None if price is None else prompt_tokens * price.prompt)


@dataclass(frozen=True, slots=True)
class Call:
    """One model call: one row of the ledger."""

    id: str
    payer: Payer
    kind: CallKind
    model: ModelRef
    outcome: CallOutcome = CallOutcome.ASKED
    usage: Usage | None = None
    """What its provider reported, possibly before the end; None: unknown, which is not zero."""
    seconds: float | None = None
    error: str | None = None
    """With FAILED and REPEATED: the `code` of the `ProviderError`."""
    answer_id: str | None = None
    estimated_tokens: int | None = None
    """What it probably used if its provider reported nothing: prompt and text together, by our own estimate."""
    listed_cost: float | None = None
    """US dollars by the prices in the provider's list, if it reported no cost: for reported or estimated tokens."""
    estimated_cost: float | None = None
    """US dollars, if the provider reported no cost: estimated tokens at what the model has recently cost the same user,
    otherwise `listed_cost`; None: unknown."""

    def estimated(self, estimate: Estimate) -> Call:
        """The same call, counting by this estimate."""
        return replace(self, estimated_tokens=estimate.tokens, listed_cost=estimate.listed_cost)

    def repeated(self) -> Call:
        """The same call, marked as repeated because the model is asked again."""
        return replace(self, outcome=CallOutcome.REPEATED)


@dataclass(eq=False)
class Meter:
    """Measures a call while it is being made."""

    asked: Call
    prompt_tokens: int = 0
    """Tokens of what is sent, by our own estimate."""
    price: Price | None = None
    """From the provider's list of models."""
    usage: Usage | None = None
    received: int = 0
    """Bytes of text, reasoning and tool calls."""
    cut: bool = False
    called_tools: bool = False
    started: float = field(default_factory=time.monotonic)

    def note(self, event: StreamEvent) -> None:
        """Takes an event of a model's stream into account."""
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
        """The outcome of a call that ends without an error."""
        if self.called_tools:
            return CallOutcome.TOOLS
        return CallOutcome.CUT if self.cut else CallOutcome.DONE

    def so_far(self) -> Estimate:
        """What the call has used so far: as its provider reported, else by our own estimate."""
        usage = self._usage_so_far()
        tokens = usage.prompt_tokens + usage.completion_tokens
        cost = self._list_price_of(usage) if usage.cost is None else usage.cost
        return Estimate(tokens, cost)

    def call(self, outcome: CallOutcome, error: str | None = None) -> Call:
        """The call, ending now."""
        return replace(
            self.asked,
            outcome=outcome,
            usage=self.usage,
            estimated_tokens=self._estimate(outcome) if self.usage is None else None,
            listed_cost=self._listed_cost(outcome),
            seconds=time.monotonic() - self.started,
            error=error,
        )

    @property
    def is_free(self) -> bool:
        """Whether nothing billable has arrived yet, in case the call fails."""
        return self.usage is None and not self.received

    def _estimate(self, outcome: CallOutcome) -> int | None:
        return None if self._is_refused(outcome) else self.so_far().tokens

    def _listed_cost(self, outcome: CallOutcome) -> float | None:
        usage = self._usage_so_far()
        if self._is_refused(outcome) or usage.cost is not None:
            return None
        return self._list_price_of(usage)

    def _usage_so_far(self) -> Usage:
        return self.usage or Usage(self.prompt_tokens, self.received // BYTES_PER_TOKEN)

    def _list_price_of(self, usage: Usage) -> float | None:
        if (price := self.price) is None:
            return None
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        of_cached = price.prompt if price.cached is None else price.cached
        of_prompt = (usage.prompt_tokens - cached) * price.prompt + cached * of_cached
        return of_prompt + usage.completion_tokens * price.completion

    def _is_refused(self, outcome: CallOutcome) -> bool:
        """Whether the call failed before it returned anything, so that nobody charges for it."""
        return outcome is CallOutcome.FAILED and self.is_free


def _size(text: str) -> int:
    """The number of bytes of a text, which may contain half a character."""
    return len(text.encode("utf-8", "replace"))


def no_price(model: ModelRef) -> Price | None:
    """A PriceOf for providers that list no prices."""
    return None


@contextmanager
def metered(
    asked: Call, ended: list[Call], prompt_tokens: int = 0, price: Price | None = None
) -> Iterator[Meter]:
    """Meters the call that is made inside the block, and adds it to `ended`, however it ends.

    A StorageError means that the call was not made, because its input could not be read. `prompt_tokens`: tokens of
    what is sent, by our own estimate. `price`: from the provider's list of models.
    """
    meter = Meter(asked, prompt_tokens, price)
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
