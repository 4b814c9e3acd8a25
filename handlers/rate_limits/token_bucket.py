"""One of Slack's rate limits as a token bucket, which shrinks after each 429. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from handlers.rate_limits.slack_rates import DEFAULT_RATE, PER_CHANNEL, RATES, Rate

RECOVERY_INTERVAL = 60.0
"""Seconds without a 429 after which a bucket that has become more cautious recovers by one step."""
MAX_IN_FLIGHT_TIME = 10.0
"""Seconds after which Slack is assumed to have counted a call without a response."""
RATE_MARGIN = 0.97
"""The share of the documented rate that is used, because Slack's clock may differ from ours."""
MAX_BUCKETS = 2_000

BucketKey = tuple[str, str]


def bucket_key(method: str, channel: str) -> BucketKey:
    """What Slack counts together: a method in the whole workspace, or in one channel."""
    return method, channel if method in PER_CHANNEL else ""


class TokenBucket:
    """The rate limit of one method; each 429 makes it more cautious for a while.

    Slack counts a call when it arrives, at any moment until its response. Until then Slack's bucket may be fuller than
    ours; tokens that might overflow there are not relied upon here.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        self._documented = rate
        self._rate_factor = 1.0
        self._fraction = 1.0
        self._burst = rate.burst
        self._tokens = rate.burst
        self._refilled_at = now
        self._blocked_until = 0.0
        self._adjusted_at = float("-inf")
        """When a 429 or a recovery last changed rate or burst."""
        self._in_flight: deque[float] = deque()
        """When each call was sent that has no response yet."""

    @property
    def burst(self) -> float:
        """How many calls may be made at once, as far as is known."""
        return max(1.0, self._burst * self._fraction)

    @property
    def per_second(self) -> float:
        return self._documented.per_second * RATE_MARGIN * self._rate_factor * self._fraction

    def tokens(self, now: float) -> float:
        """How many calls may be made at this moment."""
        self._refill(now)
        return 0.0 if now < self._blocked_until else self._tokens

    def take(self, now: float) -> None:
        self._refill(now)
        self._tokens -= 1.0
        self._in_flight.append(now)

    def settle(self, now: float) -> None:
        """A call has received its response, so Slack has counted it."""
        self._refill(now)
        if self._in_flight:
            self._in_flight.popleft()

    def refund(self) -> None:
        """A call that was deducted is not made."""
        self._tokens = min(self.burst, self._tokens + 1.0)
        if self._in_flight:
            self._in_flight.pop()

    def ready_at(self, now: float, reserve: float = 0.0) -> float:
        """When the next call may be made so that `reserve` tokens are left after it."""
        self._refill(now)
        missing = max(0.0, 1.0 + min(reserve, self.burst - 1.0) - self._tokens)
        return max(self._blocked_until, now + missing / self.per_second)

    def rate_limited(self, now: float, retry_after: float) -> None:
        """After a 429: no call for `retry_after` seconds and a smaller burst; also a lower rate, if it was not the
        first.
        """
        self._refill(now)
        if now - self._adjusted_at < RECOVERY_INTERVAL:
            self._rate_factor = max(0.3, self._rate_factor * 0.85)
        self._adjusted_at = now
        self._burst = max(1.0, self._burst * 0.6)
        self._blocked_until = max(self._blocked_until, now + retry_after)
        self._tokens = 1.0  # Slack then allows one call, not more
        self._refilled_at = self._blocked_until

    def sync(self, now: float, tokens: float, wait: float = 0.0) -> None:
        """Takes over the state of the shared limit: its remaining tokens, and the seconds until there is another."""
        self._tokens, self._refilled_at = min(tokens, self.burst), now
        if wait > 0.0:
            self._blocked_until = max(self._blocked_until, now + wait)

    def set_fraction(self, now: float, fraction: float) -> None:
        """Only this fraction of the rate limit, and of the remaining tokens, may be used from now on."""
        if fraction != self._fraction:
            self._refill(now)
            self._tokens *= min(1.0, fraction / self._fraction)
            self._fraction = fraction

    def _refill(self, now: float) -> None:
        self._recover(now)
        while self._in_flight and now - self._in_flight[0] > MAX_IN_FLIGHT_TIME:
            self._in_flight.popleft()
        if now > self._refilled_at:
            most = max(self._tokens, self.burst - len(self._in_flight))
            self._tokens = min(most, self._tokens + (now - self._refilled_at) * self.per_second)
            self._refilled_at = now

    def _recover(self, now: float) -> None:
        cautious = self._rate_factor < 1.0 or self._burst < self._documented.burst
        if cautious and now - self._adjusted_at > RECOVERY_INTERVAL:
            self._adjusted_at = now
            self._rate_factor = min(1.0, self._rate_factor * 1.15)
            self._burst = min(self._documented.burst, self._burst + 1.0)


class TokenBuckets:
    """The buckets of one workspace, created when they are first needed."""

    def __init__(self, rates: Mapping[str, Rate] | None = None) -> None:
        self._rates = rates or RATES
        self._buckets: dict[BucketKey, TokenBucket] = {}
        self._fraction = 1.0

    def rate(self, method: str) -> Rate:
        """The documented rate limit of a method."""
        return self._rates.get(method, DEFAULT_RATE)

    def get(self, method: str, channel: str, now: float) -> TokenBucket:
        key = bucket_key(method, channel)
        found = self._buckets.get(key)
        if found is None:
            self._sweep(now)
            found = self._buckets[key] = TokenBucket(self.rate(method), now)
            found.set_fraction(now, self._fraction)
        return found

    def set_fraction(self, now: float, fraction: float) -> None:
        """Only this fraction of each rate limit may be used from now on."""
        if fraction != self._fraction:
            self._fraction = fraction
            for bucket in self._buckets.values():
                bucket.set_fraction(now, fraction)

    def _sweep(self, now: float) -> None:
        """Drops the full buckets of single channels, so that memory does not grow with every channel."""
        if len(self._buckets) < MAX_BUCKETS:
            return
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if not key[1] or bucket.tokens(now) < bucket.burst
        }
