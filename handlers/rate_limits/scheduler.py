"""Decides who may call Slack next in one workspace, within Slack's rate limits. Pure: time is an argument.

Every answer that is being written has a `PendingWrite`. Native streams use up `chat.appendStream`, edited messages
`chat.update`; an answer that is not visible yet may become either, so both limits carry answers at the same time.
Everything that waits has one rule that says which method it calls next and from when on (`NextCall`). What is due is
granted, most urgent first; the earliest of the others is when to check again:

    endings > queued calls > openings of hidden answers > progress of visible answers

and within each the longest waiting reader first. How much of each limit an answer may use follows from all the others
(`workload`).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility, Waiting
from handlers.rate_limits.token_bucket import (
    APPEND,
    POST,
    START,
    STOP,
    UPDATE,
    Rate,
    TokenBucket,
    TokenBuckets,
)
from handlers.rate_limits.workload import (
    MIN_WRITE_INTERVAL,
    OpeningLimits,
    ProgressLimits,
    Workload,
)

RECHECK_INTERVAL = 0.25
"""Seconds between two checks whether there is room for a held answer; it is unknown when another one ends."""
SCARCE_POST_DELAY = 0.7
"""Seconds that first words wait where posts are scarce: one word is too little for a message."""
MAX_HOLD = 8.0
"""Seconds after which held answers are opened, one by one, even if their edits will be rare."""
FULL_BUCKET = math.inf
"""The reserve of a call that is made only while the bucket is full."""
_MIN_SLEEP = 0.005
"""Minimum seconds between two checks."""
_TOLERANCE = 1e-6
"""Seconds that a call may be early: clocks and floating point are not exact."""

Grant = tuple[Waiting, str]


@dataclass(frozen=True, slots=True)
class NextCall:
    """The call that something waiting makes next, and when it may."""

    method: str
    ready_at: float

    def due(self, now: float) -> bool:
        return self.ready_at <= now + _TOLERANCE


class WriteScheduler:
    """The scheduler of one workspace."""

    def __init__(self, rates: Mapping[str, Rate] | None = None) -> None:
        self._buckets = TokenBuckets(rates)
        self._writes: dict[PendingWrite, None] = {}
        """In order of arrival, which breaks ties."""
        self._queued_calls: list[QueuedCall] = []
        self.peers = 1
        """Processes that use the same rate limits, this one included."""
        self._edits_opened = 0
        self._edit_opened_at = float("-inf")

    def join(self, pending: PendingWrite) -> None:
        self._writes[pending] = None

    def leave(self, pending: PendingWrite) -> None:
        self._writes.pop(pending, None)

    def enqueue(self, queued_call: QueuedCall) -> None:
        bisect.insort(self._queued_calls, queued_call, key=lambda each: each.waiting_since)

    def withdraw(self, queued_call: QueuedCall) -> None:
        if queued_call in self._queued_calls:
            self._queued_calls.remove(queued_call)

    def bucket(self, method: str, channel: str, now: float) -> TokenBucket:
        return self._buckets.get(method, channel, now)

    def set_fraction(self, now: float, fraction: float) -> None:
        """Only this fraction of each rate limit may be used here from now on; the rest is for other processes."""
        self._buckets.set_fraction(now, fraction)

    def rate(self, method: str) -> Rate:
        """The documented rate limit of a method."""
        return self._buckets.rate(method)

    def rate_limited(self, method: str, channel: str, now: float, retry_after: float) -> None:
        """Slack answered a call with HTTP 429."""
        self.bucket(method, channel, now).rate_limited(now, retry_after)

    def grants(self, now: float) -> list[Grant]:
        """Who may make which call at this moment; the calls are taken off the buckets."""
        granted: list[Grant] = []
        for waiting, call in self._candidates(now):
            if call.due(now):
                self._take(waiting, call, now)
                granted.append((waiting, call.method))
        for waiting, _ in granted:
            if isinstance(waiting, QueuedCall):
                self.withdraw(waiting)
        return granted

    def wake_at(self, now: float) -> float | None:
        """When `grants` may grant something again; None: not before something changes."""
        earliest = min((call.ready_at for _, call in self._candidates(now)), default=None)
        return None if earliest is None else max(now + _MIN_SLEEP, earliest)

    def _candidates(self, now: float) -> Iterator[tuple[Waiting, NextCall]]:
        """All that waits, most urgent first, each with its next call.

        Each step is computed when it is asked for, so what `grants` has taken off a bucket before counts in it.
        """
        load = Workload(self._writes, self._queued_calls, self._buckets, self.peers, now)
        ready = [write for write in self._writes if not write.busy and write.wants_call()]
        ready.sort(key=_waiting_since)
        for write in ready:
            if write.ends():
                yield write, self._next_ending(write, now)
        for call in self._queued_calls:
            yield call, self._next_queued(call, load)
        yield from self._openings([write for write in ready if not write.ends()], load)
        for visibility in (Visibility.NATIVE, Visibility.EDITED):
            progressing = [w for w in ready if w.visibility is visibility and not w.ends()]
            if progressing:
                limits = load.progress_limits(visibility)
                for write in progressing:
                    yield write, self._next_progress(write, now, limits)

    def _openings(
        self, ready: list[PendingWrite], load: Workload
    ) -> Iterator[tuple[Waiting, NextCall]]:
        hidden = [write for write in ready if write.visibility is Visibility.HIDDEN]
        if not hidden:
            return
        limits, opened_before = load.opening_limits(), self._edits_opened
        for write in hidden:
            opened = self._edits_opened - opened_before
            yield write, self._next_opening(write, load.now, limits, opened)

    def _take(self, waiting: Waiting, call: NextCall, now: float) -> None:
        self.bucket(call.method, waiting.channel, now).take(now)
        if isinstance(waiting, QueuedCall) or waiting.ends():
            return
        if waiting.visibility is Visibility.HIDDEN:
            native = call.method == START
            waiting.opening = Visibility.NATIVE if native else Visibility.EDITED
            if not native:
                self._edits_opened += 1
                self._edit_opened_at = now

    # -- one rule for each kind of call ------------------------------------------------------------------------

    def _next_ending(self, write: PendingWrite, now: float) -> NextCall:
        return self._first_of(_ending_methods(write), write.channel, now)

    def _next_queued(self, call: QueuedCall, load: Workload) -> NextCall:
        bucket = self.bucket(call.method, call.channel, load.now)
        return NextCall(call.method, bucket.ready_at(load.now, load.reserve_for(call)))

    def _next_opening(
        self, write: PendingWrite, now: float, limits: OpeningLimits, opened: int
    ) -> NextCall:
        """As a native stream if possible, else as an edited message.

        `opened`: how many answers were opened as edited messages since `limits` were computed.
        """
        edited = self._next_opening_as_edit(write, now, limits, opened)
        if not write.may_stream or write.reuses_message:
            return edited
        return _first([NextCall(START, self._ready_at(START, write.channel, now)), edited], now)

    def _next_opening_as_edit(
        self, write: PendingWrite, now: float, limits: OpeningLimits, opened: int
    ) -> NextCall:
        assert write.waiting_since is not None
        held_until = write.waiting_since + MAX_HOLD
        if write.channel in limits.scarce and not write.reuses_message and now < held_until:
            room = limits.scarce[write.channel] - opened
            spare = (
                self.bucket(POST, write.channel, now).ready_at(now, FULL_BUCKET)
                if room >= 1.0
                else now + RECHECK_INTERVAL
            )
            at = max(write.waiting_since + SCARCE_POST_DELAY, spare)
            return NextCall(POST, min(at, held_until))
        method = UPDATE if write.reuses_message else POST
        opens_at = write.waiting_since + (0.0 if write.reuses_message else limits.delay)
        held_until = max(held_until, opens_at, self._next_edit_refilled_at(now))
        if limits.room <= opened and now < held_until:
            opens_at = now + RECHECK_INTERVAL
        return NextCall(method, max(opens_at, self._ready_at(method, write.channel, now)))

    def _next_edit_refilled_at(self, now: float) -> float:
        """When the edits have refilled by one since the last opening: held answers are opened at this rate."""
        return self._edit_opened_at + 1.0 / self.bucket(UPDATE, "", now).per_second

    def _next_progress(self, write: PendingWrite, now: float, limits: ProgressLimits) -> NextCall:
        """Evenly, or sooner while the bucket is full, since tokens that run over are lost."""
        method = APPEND if write.visibility is Visibility.NATIVE else UPDATE
        bucket = self.bucket(method, "", now)
        evenly = max(write.written_at + limits.interval, bucket.ready_at(now, limits.reserve))
        while_full = max(write.written_at + MIN_WRITE_INTERVAL, bucket.ready_at(now, FULL_BUCKET))
        return NextCall(method, min(evenly, while_full))

    def _first_of(self, methods: tuple[str, ...], channel: str, now: float) -> NextCall:
        return _first([NextCall(m, self._ready_at(m, channel, now)) for m in methods], now)

    def _ready_at(self, method: str, channel: str, now: float) -> float:
        return self.bucket(method, channel, now).ready_at(now)


def _first(calls: list[NextCall], now: float) -> NextCall:
    """The first that is due, else the one that will be due earliest."""
    return min(calls, key=lambda call: max(call.ready_at, now + _TOLERANCE))


def _ending_methods(write: PendingWrite) -> tuple[str, ...]:
    """The methods that can end the answer or its stream, best first."""
    if write.must_close:
        return (STOP,)
    has_text = write.waiting_since is not None
    if write.visibility is Visibility.NATIVE:
        return (STOP, APPEND) if has_text else (STOP,)
    if write.visibility is Visibility.EDITED or write.reuses_message:
        return (UPDATE,)
    return (POST, START) if write.may_stream and has_text else (POST,)


def _waiting_since(pending: PendingWrite) -> float:
    return pending.waiting_since if pending.waiting_since is not None else float("inf")
