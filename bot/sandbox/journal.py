"""Records everything between Slack and the app: Web API calls, deliveries and their attempts."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.types import Json

EnvelopeType = Literal["events_api", "slash_commands", "interactive"]
RETRY_REASON_UNACKNOWLEDGED = "timeout"
SECRET_ARGUMENTS = frozenset({"token", "client_secret"})


@dataclass(slots=True)
class Attempt:
    """One attempt to send an envelope. `retry` is 0 for the first."""

    envelope_id: str
    at: float
    retry: int
    reason: str | None
    acked_at: float | None = None
    outcome: str = RETRY_REASON_UNACKNOWLEDGED


@dataclass(slots=True)
class Delivery:
    """An event, command or interaction, with the attempts to deliver it. `answer` is the acknowledgement's payload."""

    id: int
    kind: EnvelopeType
    name: str
    payload: Json
    created: float
    attempts: list[Attempt] = field(default_factory=list)
    acked_at: float | None = None
    answer: Any = None
    gave_up: bool = False

    @property
    def acked(self) -> bool:
        return self.acked_at is not None


@dataclass(slots=True)
class CallRecord:
    """One Web API call. `result` is None if no response was sent; `error` is Slack's error name or None.

    `injected`: the error comes from a Fault, so it does not count as a refusal.
    """

    id: int
    at: float
    method: str
    args: Json
    result: Json | None = None
    status: int = 200
    error: str | None = None
    duration: float = 0.0
    injected: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


class Journal:
    """Calls and deliveries, newest last. Beyond `size` the oldest are dropped."""

    def __init__(self, size: int = 200_000) -> None:
        self.calls: deque[CallRecord] = deque(maxlen=size)
        self.deliveries: deque[Delivery] = deque(maxlen=size)
        self.refusals: list[CallRecord] = []
        self.counts: Counter[str] = Counter()
        self.listeners: list[Callable[[CallRecord | Delivery], None]] = []
        self._numbers = itertools.count(1)

    def new_id(self) -> int:
        return next(self._numbers)

    def record_call(self, record: CallRecord) -> None:
        """Records a call that has ended. Refusals other than rate limits are also kept in `refusals`."""
        self.calls.append(record)
        self.counts[record.method] += 1
        if record.error is not None and record.error != "ratelimited" and not record.injected:
            self.refusals.append(record)
        self.notify(record)

    def notify(self, entry: CallRecord | Delivery) -> None:
        for listener in tuple(self.listeners):
            listener(entry)


def public_arguments(values: Mapping[str, Any]) -> Json:
    """The arguments without secrets, as the journal records them."""
    return {name: value for name, value in values.items() if name not in SECRET_ARGUMENTS}
