"""Slack's limits in one frozen value, and the token buckets of its rate tiers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.sandbox.errors import RateLimited
from bot.sandbox.types import Clock

TIER_2, TIER_3, TIER_4 = 20, 50, 100

# Calls per minute and workspace. Methods that are missing here are not limited.
CALLS_PER_MINUTE: Mapping[str, int] = {
    "apps.connections.open": TIER_3,
    "auth.test": 600,
    "bots.info": TIER_3,
    "chat.postEphemeral": TIER_4,
    "chat.update": TIER_3,
    "chat.delete": TIER_3,
    "chat.startStream": TIER_2,
    "chat.appendStream": TIER_4,
    "chat.stopStream": TIER_2,
    "conversations.info": TIER_3,
    "conversations.open": TIER_3,
    "conversations.replies": TIER_3,
    "conversations.history": TIER_3,
    "conversations.list": TIER_2,
    "conversations.members": TIER_4,
    "conversations.join": TIER_3,
    "conversations.archive": TIER_2,
    "conversations.close": TIER_2,
    "conversations.create": TIER_2,
    "conversations.invite": TIER_3,
    "conversations.kick": TIER_3,
    "conversations.leave": TIER_3,
    "conversations.mark": TIER_3,
    "conversations.rename": TIER_2,
    "conversations.setPurpose": TIER_2,
    "conversations.setTopic": TIER_2,
    "conversations.unarchive": TIER_2,
    "users.info": TIER_4,
    "users.list": TIER_2,
    "team.info": TIER_3,
    "team.profile.get": TIER_3,
    "users.conversations": TIER_3,
    "users.lookupByEmail": TIER_3,
    "users.profile.get": TIER_4,
    "users.getPresence": TIER_3,
    "users.setPresence": TIER_2,
    "emoji.list": TIER_2,
    "dnd.info": TIER_3,
    "dnd.teamInfo": TIER_2,
    "usergroups.list": TIER_2,
    "usergroups.users.list": TIER_2,
    "bookmarks.add": TIER_2,
    "bookmarks.edit": TIER_2,
    "bookmarks.list": TIER_3,
    "bookmarks.remove": TIER_2,
    "pins.add": TIER_2,
    "pins.list": TIER_2,
    "pins.remove": TIER_2,
    "chat.scheduleMessage": TIER_3,
    "chat.scheduledMessages.list": TIER_3,
    "chat.deleteScheduledMessage": TIER_3,
    "chat.meMessage": TIER_3,
    "chat.unfurl": TIER_3,
    "reactions.add": TIER_3,
    "reactions.remove": TIER_2,
    "reactions.get": TIER_3,
    "reactions.list": TIER_2,
    "views.open": TIER_4,
    "views.update": TIER_4,
    "views.push": TIER_4,
    "views.publish": TIER_4,
    "assistant.threads.setTitle": TIER_4,
    "assistant.threads.setSuggestedPrompts": TIER_4,
    "agents.sessions.setStatus": TIER_3,
    "agents.sessions.rename": TIER_3,
    "files.info": TIER_4,
    "files.list": TIER_3,
    "files.delete": TIER_3,
    "files.getUploadURLExternal": TIER_4,
    "files.completeUploadExternal": TIER_4,
}


@dataclass(frozen=True)
class Limits:
    """The limits of a workspace. The defaults are Slack's, as far as they are known. Times are seconds."""

    rates: bool = True
    """Whether calls are counted at all."""
    rate_scale: float = 1.0
    """Multiplies every rate (2.0: twice as many calls a minute)."""
    per_minute: Mapping[str, int] = field(default_factory=lambda: dict(CALLS_PER_MINUTE))
    burst: float = 0.25
    """The share of a minute's allowance that may be used at once."""
    post_per_second: float = 1.0
    post_burst: int = 3
    status_per_minute: int = 60

    stream_ttl: float = 300.0
    """From the start of a stream; appends do not extend it."""
    stream_bytes: int = 11_000
    """UTF-8 bytes that one streamed message holds. Once exceeded, every further append is `msg_too_long`."""
    native_streams: bool = True
    """False: `chat.startStream` answers `channel_type_not_supported` outside direct messages."""

    markdown_text: bool = True
    """False: an older Slack, which ignores the argument `markdown_text`."""
    markdown_blocks: bool = True
    """False: an older Slack, which does not know the block."""

    ack_timeout: float = 3.0
    """How long the app may take to acknowledge an event, a command or an interaction."""
    retry_delays: tuple[float, ...] = (0.0, 60.0, 300.0)
    """Waits before the redeliveries of an event that was not acknowledged."""
    challenge_interval: float = 1.0
    """The wait between two challenges of a request URL that has not answered one yet."""
    ticket_ttl: float = 30.0
    """How long the URL of `apps.connections.open` may be used (once)."""
    max_sockets: int = 10

    trigger_ttl: float = 3.0
    """How long a `trigger_id` may open a view."""
    status_ttl: float = 120.0
    response_url_ttl: float = 1800.0
    response_url_uses: int = 5

    latency: float = 0.0
    """Added to every call, round trip."""
    latencies: Mapping[str, float] = field(default_factory=dict)
    """By method, instead of `latency`."""

    @staticmethod
    def off() -> Limits:
        """No rate limits; everything else stays strict."""
        return Limits(rates=False)

    def with_deadlines_scaled(self, factor: float) -> Limits:
        """Multiplies every time limit for the app.

        Tests use it, because on a busy machine the three seconds for an acknowledgement say nothing about the app.
        """
        return replace(
            self,
            ack_timeout=self.ack_timeout * factor,
            ticket_ttl=self.ticket_ttl * factor,
            trigger_ttl=self.trigger_ttl * factor,
            response_url_ttl=self.response_url_ttl * factor,
        )


@dataclass(slots=True)
class TokenBucket:
    """Tokens that are refilled at a steady rate up to a capacity."""

    rate: float
    capacity: float
    tokens: float
    at: float

    def take(self, now: float) -> float:
        """Takes a token. Returns 0.0, or the seconds until there is one."""
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1.0 - 1e-9:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate


class RateLimiter:
    """The token buckets of one workspace and app."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def count_call(self, method: str, channel: str = "") -> None:
        """Counts one call. RateLimited when the bucket is empty; a refused call costs nothing."""
        if not self.limits.rates:
            return
        key, rate, capacity = self._allowance(method, channel)
        if rate <= 0:
            return
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(rate, capacity, capacity, now)
        wait = bucket.take(now)
        if wait:
            raise RateLimited(max(1, math.ceil(wait)))

    def _allowance(self, method: str, channel: str) -> tuple[tuple[str, str], float, float]:
        limits, scale = self.limits, self.limits.rate_scale
        if method == "chat.postMessage":
            return (
                (method, channel),
                limits.post_per_second * scale,
                max(1.0, limits.post_burst * scale),
            )
        if method == "assistant.threads.setStatus":
            per_minute, key = limits.status_per_minute * scale, (method, channel)
        else:
            per_minute, key = limits.per_minute.get(method, 0) * scale, (method, "")
        return key, per_minute / 60.0, max(1.0, per_minute * limits.burst)
