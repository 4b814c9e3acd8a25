"""How much of the rate limits each answer of one workspace may use at a given moment. Pure.

How long an answer waits between two writes (`write_interval`) depends on the remaining tokens and the number of answers
that share them: a single answer is written almost immediately, many answers are served evenly instead of in one burst
followed by a long silence. If so many answers would be edited too rarely, the newest answers are held back and posted
complete, since posts have their own rate limit. If a channel's posts are scarcer still, spare posts open answers early.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from handlers.rate_limits.pending_write import (
    MIN_SPEED_TIME,
    PendingWrite,
    QueuedCall,
    Visibility,
)
from handlers.rate_limits.recent_answers import RecentAnswers
from handlers.rate_limits.slack_rates import APPEND, POST, START, UPDATE
from handlers.rate_limits.token_bucket import BucketKey, TokenBucket, TokenBuckets, bucket_key
from handlers.rate_limits.urgency import LONGEST_WAIT, Urgency

MIN_WRITE_INTERVAL = 0.44
"""The least seconds between two writes of one answer, however many tokens are left: more often would only flicker."""
BURST_SPREAD = 3.5
"""Seconds over which a full bucket's burst is spread, so that even a short answer is written evenly."""
REFILL_CREDIT = 1.0
"""Seconds of refill that are relied upon, besides the available tokens, to end the answers opened as edits."""
FIRST_WRITE_RATIO = 0.8
"""How long the first words of many edited answers wait, as a share of their later write interval."""
FIRST_WRITE_RATIOS = ((0.0, 0.22), (0.65, 0.52), (1.0, 1.0))
"""The same if one process knows all answers, in steps: (share of the answers up to here, ratio). The first come soon,
with edits that would otherwise go unused; most come at half the interval; the rest wait, so as not to take edits from
those.
"""
SCARCE_POST_QUEUE = 2.0
"""Posts are scarce in a channel whose hidden answers would need this many seconds for their posts once the burst is
used up.
"""
END_DELAY_RATIO = 2.0
"""Answers opened to save posts may end later than the channel's last post by this factor."""


def write_interval(bucket: TokenBucket, now: float, sharers: int, reserve: float = 0.0) -> float:
    """Seconds between two writes of one answer when `sharers` answers use the same bucket.

    `reserve`: tokens kept for endings.
    """
    free = max(0.0, bucket.tokens(now) - reserve)
    return max(MIN_WRITE_INTERVAL, sharers / (free / BURST_SPREAD + bucket.per_second))


def first_write_ratio(share: float) -> float:
    """The share of the write interval that first words wait, if this share of the edited answers is already open."""
    return next((ratio for most, ratio in FIRST_WRITE_RATIOS if share <= most), 1.0)


@dataclass(frozen=True, slots=True)
class OpeningLimits:
    """How hidden answers may be opened as edited messages at a given moment."""

    room: float
    """How many more answers the available edits can bring to their end."""
    delay: Callable[[int], float]
    """Seconds that first words wait in an answer opened after this many others at this moment."""
    interval: float
    """Seconds that they wait so that calls are left for the answers to come."""
    scarce: Mapping[str, float]
    """For each channel with scarce posts: how many answers may be opened there to save posts."""


@dataclass(frozen=True, slots=True)
class ProgressLimits:
    """How visible answers may be written further at a given moment."""

    interval: float
    """Seconds between two writes of one answer."""
    reserve: float
    """Tokens that progress must leave for endings and queued calls."""


@dataclass(frozen=True)
class Workload:
    """A snapshot of one workspace's answers and token buckets; each count is computed once per snapshot."""

    writes: Collection[PendingWrite]
    buckets: TokenBuckets
    peers: int
    """Processes that use the same rate limits, including this one; each has about as many answers."""
    now: float
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    _ready_at: dict[tuple[BucketKey, float], float] = field(default_factory=dict)

    def ready_at(self, method: str, channel: str, reserve: float = 0.0) -> float:
        """When the next call may be made so that `reserve` tokens are left after it; cached until `take`."""
        key = bucket_key(method, channel), reserve
        known = self._ready_at.get(key)
        if known is None:
            known = self._bucket(method, channel).ready_at(self.now, reserve)
            self._ready_at[key] = known
        return known

    def take(self, method: str, channel: str) -> TokenBucket:
        """A call is made; returns its bucket."""
        bucket = self._bucket(method, channel)
        bucket.take(self.now)
        self._ready_at.clear()
        return bucket

    def reserve_for(self, call: QueuedCall) -> float:
        """Tokens that a queued call must leave: for a while, the answers' endings need the edits more than titles."""
        decorates = call.method == UPDATE and call.urgency is Urgency.DECORATION
        if not decorates or self.now - call.waiting_since > LONGEST_WAIT[call.urgency]:
            return 0.0
        return float(self._edited)

    def progress_limits(self, visibility: Visibility) -> ProgressLimits:
        """An edited message ends with another edit, a stream with its own method, so only edits need a reserve."""
        if visibility is Visibility.NATIVE:
            sharers = max(1, self._sharers(visibility))
            interval = write_interval(self._bucket(APPEND), self.now, sharers)
            return ProgressLimits(max(interval, self._steady_interval(visibility)), 0.0)
        sharers = self._sharers(visibility) + self._coming()
        to_end = float(
            self._with_peers(self._edited + self._hidden_to_edit()) if sharers > 1 else 0
        )
        reserve = min(to_end, self.buckets.rate(UPDATE).burst - 1.0)
        interval = write_interval(self._bucket(UPDATE), self.now, max(1, sharers), reserve)
        return ProgressLimits(max(interval, self._steady_interval(visibility)), reserve)

    def opening_limits(self) -> OpeningLimits:
        return OpeningLimits(
            room=self._edit_room(),
            delay=self._first_write_delay(),
            interval=self._steady_interval(Visibility.EDITED),
            scarce=self._scarce_channels(),
        )

    def _edit_room(self, refill_credit: float = REFILL_CREDIT) -> float:
        """How many more answers the edits suffice for: each of them, and each visible one, needs one edit for its end.

        `refill_credit`: seconds of refill that are relied upon.
        """
        bucket = self._bucket(UPDATE)
        owed = self._users[Visibility.EDITED] + self._ending_edited
        ours = (bucket.tokens(self.now) + refill_credit * bucket.per_second) / self.peers
        return max(0.0 if owed else 1.0, ours - owed)

    def _scarce_channels(self) -> dict[str, float]:
        """Channels in which hidden answers would wait long for a post, and how many may be opened there early.

        Every post that is not made while the bucket is full makes the last reader there wait longer. An answer opened
        to prevent this ends with an edit, not immediately, but at about the time of the last post. If the edits suffice
        for all that wait, posts need not be saved.
        """
        waiting = Counter(write.channel for write in self._unopened if not write.final)
        rooms = {}
        for channel, count in waiting.items():
            posts = self._bucket(POST, channel)
            queue = (count - posts.burst) / posts.per_second
            if (
                queue >= SCARCE_POST_QUEUE
                and (room := self._edit_room(END_DELAY_RATIO * queue)) < waiting.total()
            ):
                rooms[channel] = room
        return rooms

    def _coming(self) -> int:
        """Answers that will soon use edits, including those without text yet."""
        starts = self._bucket(START).tokens(self.now)
        return self._with_peers(max(0, int(min(len(self._unopened) - starts, self._edit_room()))))

    def _hidden_to_edit(self) -> int:
        """Hidden answers that have text, and no start of a stream: each will need an edit for its end."""
        begun = [w for w in self._unopened if w.began_at is not None and not w.final]
        starts = int(self._bucket(START).tokens(self.now))
        return len(begun) - min(starts, sum(write.may_stream for write in begun))

    def _first_write_delay(self) -> Callable[[int], float]:
        """Seconds that first words wait, so that few edits are spread evenly, unless posts are scarcer."""
        coming = max(1, self._coming())
        edited = self._sharers(Visibility.EDITED)
        interval = write_interval(self._bucket(UPDATE), self.now, edited + coming)
        posts = [
            self._bucket(POST, channel) for channel in {write.channel for write in self._unopened}
        ]
        if interval <= 1.0 or not posts:
            return lambda _: 0.0
        queue = max(0.0, coming - sum(bucket.tokens(self.now) for bucket in posts))
        queue_seconds = queue / sum(bucket.per_second for bucket in posts)

        def delay(opened: int) -> float:
            share = (edited + opened) / (edited + coming)
            ratio = first_write_ratio(share) if self.peers == 1 else FIRST_WRITE_RATIO
            return max(0.0, ratio * interval - queue_seconds)

        return delay

    def stream_ready_at(self, write: PendingWrite) -> float:
        """When a hidden answer may become a native stream. If there are more answers than streams, only the fastest
        ones may use the second half of the bucket.
        """
        ready_at = self.ready_at(START, write.channel)
        if (
            write.began_at is None
            or write.continues
            or write.speed(self.now) >= self._streaming_speed
        ):
            return ready_at
        known_at = write.began_at + MIN_SPEED_TIME
        half_full_at = self.ready_at(START, write.channel, self._bucket(START).burst / 2)
        return min(half_full_at, max(ready_at, known_at)) if self.now < known_at else half_full_at

    @cached_property
    def _streaming_speed(self) -> float:
        per_second = self._bucket(START).per_second
        return self.recent.streaming_speed(self.now, per_second, self.peers)

    def _steady_interval(self, visibility: Visibility) -> float:
        """The sustainable seconds between two writes of one answer, if answers keep coming as recently."""
        streamed = visibility is Visibility.NATIVE
        per_second = self._bucket(APPEND if streamed else UPDATE).per_second
        return self.recent.write_interval(self.now, per_second, self.peers, streamed=streamed)

    def _sharers(self, visibility: Visibility) -> int:
        return self._with_peers(self._users[visibility])

    @cached_property
    def _edited(self) -> int:
        return sum(1 for write in self.writes if write.visibility is Visibility.EDITED)

    @cached_property
    def _ending_edited(self) -> int:
        return sum(w.final for w in self.writes if w.visibility is Visibility.EDITED)

    @cached_property
    def _users(self) -> Counter[Visibility]:
        """How many answers use the rate limit of each visibility."""
        used = (Visibility.NATIVE, Visibility.EDITED)
        return Counter(each for write in self.writes for each in used if write.uses(each))

    @cached_property
    def _unopened(self) -> list[PendingWrite]:
        return [write for write in self.writes if write.unopened()]

    def _with_peers(self, count: int) -> int:
        """The probable number in all processes; a single answer is assumed to be the only one."""
        return count * self.peers if count > 1 else count

    def _bucket(self, method: str, channel: str = "") -> TokenBucket:
        return self.buckets.get(method, channel, self.now)
