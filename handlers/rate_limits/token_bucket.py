"""What Slack allows of each method, and how much of it is left. Pure: time is an argument.

Slack counts calls per method, workspace and app (posts: per channel) and says how many a minute; how many may come at
once it does not say. So every method has a token bucket with the documented rate and a cautious burst, and each 429
teaches it better.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

START = "chat.startStream"
APPEND = "chat.appendStream"
STOP = "chat.stopStream"
UPDATE = "chat.update"
POST = "chat.postMessage"

FORGIVE_AFTER = 60.0
"""Seconds without a 429 after which a bucket that had learnt caution trusts a little more."""

LONGEST_FLIGHT = 10.0
"""Seconds after which a call whose answer nobody told of is taken for one that Slack has counted."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A documented allowance: calls per second, and how many we dare to send at once."""

    per_second: float
    burst: float


RATES: dict[str, Rate] = {
    START: Rate(20 / 60, 4),
    APPEND: Rate(100 / 60, 20),
    STOP: Rate(20 / 60, 4),
    UPDATE: Rate(50 / 60, 10),
    POST: Rate(1.0, 3),
    "chat.postEphemeral": Rate(100 / 60, 20),
    "chat.delete": Rate(50 / 60, 10),
    "conversations.replies": Rate(50 / 60, 10),
    "conversations.info": Rate(50 / 60, 10),
    "conversations.open": Rate(50 / 60, 10),
    "users.info": Rate(100 / 60, 20),
    "reactions.add": Rate(50 / 60, 10),
    "reactions.remove": Rate(20 / 60, 4),
    "views.open": Rate(100 / 60, 20),
    "views.update": Rate(100 / 60, 20),
    "views.publish": Rate(100 / 60, 20),
    "assistant.threads.setStatus": Rate(1.0, 10),
    "assistant.threads.setTitle": Rate(100 / 60, 20),
    "assistant.threads.setSuggestedPrompts": Rate(100 / 60, 20),
    "agents.sessions.setStatus": Rate(50 / 60, 10),
    "agents.sessions.rename": Rate(50 / 60, 10),
}
PER_CHANNEL = frozenset({POST, "assistant.threads.setStatus"})
UNKNOWN = Rate(20 / 60, 4)
MARGIN = 0.97
"""Share of the documented rate that is used: Slack's clock is not ours."""


class TokenBucket:
    """The allowance of one method: a token bucket that a 429 teaches caution.

    A call counts when Slack sees it, which may be at any moment until it answers. Until then Slack's bucket may be
    fuller than ours, and what would run over there is not counted on here.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._trust = 1.0
        self._part = 1.0
        self._burst = rate.burst
        self._level = rate.burst
        self._at = now
        self._held_until = 0.0
        self._refused_at = float("-inf")
        self._flying: deque[float] = deque()

    @property
    def burst(self) -> float:
        """Calls that may come at once, as far as is known."""
        return max(1.0, self._burst * self._part)

    @property
    def per_second(self) -> float:
        return self._rate.per_second * MARGIN * self._trust * self._part

    def level(self, now: float) -> float:
        """Calls that may be made at this moment."""
        self._refill(now)
        return 0.0 if now < self._held_until else self._level

    def take(self, now: float) -> None:
        self._refill(now)
        self._level -= 1.0
        self._flying.append(now)

    def settled(self, now: float) -> None:
        """A call has been answered: Slack has counted it."""
        self._refill(now)
        if self._flying:
            self._flying.popleft()

    def give_back(self) -> None:
        """A call that was taken is not made."""
        self._level = min(self.burst, self._level + 1.0)
        if self._flying:
            self._flying.pop()

    def ready_at(self, now: float, reserve: float = 0.0) -> float:
        """When the next call may be made with `reserve` left after it."""
        self._refill(now)
        missing = max(0.0, 1.0 + min(reserve, self.burst - 1.0) - self._level)
        return max(self._held_until, now + missing / self.per_second)

    def refused(self, now: float, retry_after: float) -> None:
        """A 429: nothing until `retry_after`, and less at once from now on; less in all if it happens again soon."""
        self._refill(now)
        if now - self._refused_at < FORGIVE_AFTER:
            self._trust = max(0.3, self._trust * 0.85)
        self._refused_at = now
        self._burst = max(1.0, self._burst * 0.6)
        self._held_until = max(self._held_until, now + retry_after)
        self._level, self._at = 1.0, self._held_until  # Slack promises one call then, not more

    def sync(self, now: float, level: float, wait: float = 0.0) -> None:
        """Others spend from the same allowance: what is left by the common account, and when there is one more."""
        self._level, self._at = min(level, self.burst), now
        if wait > 0.0:
            self._held_until = max(self._held_until, now + wait)

    def share(self, now: float, part: float) -> None:
        """Only this part of the allowance, and of what is left of it, is ours from now on."""
        if part != self._part:
            self._refill(now)
            self._level *= min(1.0, part / self._part)
            self._part = part

    def _refill(self, now: float) -> None:
        if now - self._refused_at > FORGIVE_AFTER and (
            self._trust < 1.0 or self._burst < self._rate.burst
        ):
            self._refused_at = now
            self._trust = min(1.0, self._trust * 1.15)
            self._burst = min(self._rate.burst, self._burst + 1.0)
        while self._flying and now - self._flying[0] > LONGEST_FLIGHT:
            self._flying.popleft()
        if now > self._at:
            most = max(self._level, self.burst - len(self._flying))
            self._level = min(most, self._level + (now - self._at) * self.per_second)
            self._at = now
