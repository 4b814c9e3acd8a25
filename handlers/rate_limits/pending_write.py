"""What waits to be granted a Slack call: the next write of an answer, or any other single call."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from handlers.rate_limits.urgency import Urgency

MIN_SPEED_TIME = 0.5
"""Seconds after its first text from which an answer's speed is known."""


class Visibility(StrEnum):
    """How an answer's current message is visible in Slack."""

    HIDDEN = "hidden"
    """Not posted yet."""
    NATIVE = "native"
    """As a native stream, which grows through `chat.appendStream`."""
    EDITED = "edited"
    """As a posted message, which grows through `chat.update`."""


@dataclass(slots=True, eq=False)
class PendingWrite:
    """What one answer wants to write next. Its writer updates the fields; the scheduler reads them."""

    channel: str
    visibility: Visibility = Visibility.HIDDEN
    may_stream: bool = True
    waiting_since: float | None = None
    """When the oldest text that is not visible yet arrived; None: there is nothing to write."""
    written_at: float = float("-inf")
    """When the last write was sent."""
    busy: bool = True
    """The writer is in the middle of a call, or there is no writer: the answer shares the limits but needs nothing
    now.
    """
    final: bool = False
    """The model has finished: the next write is the last."""
    reuses_message: bool = False
    """The next message exists already and is rewritten instead of posted."""
    opening: Visibility = Visibility.HIDDEN
    """How the last granted call shows a hidden answer; the scheduler sets this."""
    continues: bool = False
    """Its earlier text stands in a message that is full."""
    must_close: bool = False
    """The native stream must be ended before anything else can be written."""
    began_at: float | None = None
    """When its first text arrived."""
    ended_at: float | None = None
    """When the model finished."""
    received: int = 0
    """How much text has arrived, in characters."""

    def text_received(self, now: float, characters: int) -> None:
        """The model has sent text, even if none of it can be shown yet."""
        if self.began_at is None:
            self.began_at = now
        self.received += characters

    def text_arrived(self, now: float) -> None:
        """New text is not visible yet."""
        if self.waiting_since is None:
            self.waiting_since = now
        if self.began_at is None:
            self.began_at = now

    def text_ended(self, now: float) -> None:
        """The model has finished."""
        self.final, self.ended_at = True, now

    def seconds_of_text(self) -> float | None:
        """From its first text to its last; None for an answer without text, or without an end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.began_at

    def speed(self, now: float) -> float:
        """Characters a second, from its first text to its last or to now; 0.0 before there is any."""
        if self.began_at is None:
            return 0.0
        until = now if self.ended_at is None else self.ended_at
        return self.received / max(until - self.began_at, MIN_SPEED_TIME)

    def wanted_stream(self) -> bool:
        """Whether it was a native stream, or would have been with a start to spare; one that came at once would not."""
        if self.visibility is Visibility.NATIVE:
            return True
        return self.may_stream and (self.seconds_of_text() or 0.0) >= MIN_SPEED_TIME

    def wants_call(self) -> bool:
        return self.waiting_since is not None or self.ends()

    def ends(self) -> bool:
        """Whether the next call ends a message."""
        return self.final or self.must_close

    def unopened(self) -> bool:
        """Whether it is hidden and no call in progress makes it visible."""
        return self.visibility is Visibility.HIDDEN and not (
            self.busy and self.opening is not Visibility.HIDDEN
        )

    def uses(self, visibility: Visibility) -> bool:
        """Whether its progress uses the rate limit of this visibility, or is about to."""
        if self.final:
            return False
        return self.visibility is visibility or (
            self.busy and self.visibility is Visibility.HIDDEN and self.opening is visibility
        )


@dataclass(slots=True, eq=False)
class QueuedCall:
    """One call that carries no answer's text, for example a menu, a header or an ephemeral message."""

    method: str
    channel: str
    waiting_since: float
    urgency: Urgency = Urgency.ANSWER
    target: Hashable = None
    """What the call sets, for example one message's content: a newer call with the same target replaces this one."""


Waiting = PendingWrite | QueuedCall
