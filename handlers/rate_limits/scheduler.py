"""Decides who may call Slack next in one workspace, within Slack's rate limits. Pure: time is an argument.

Every answer being written has a `PendingWrite`. Native streams use up `chat.appendStream`, edited messages
`chat.update`; an answer that is not visible yet may become either, so both limits carry answers at the same time. For
everything that waits, one rule determines which method it calls next, and when (`NextCall`). Calls that are due are
granted, most urgent first; the earliest of the others determines when to check again:

    replies that a person waits for
    > endings of answers > calls that answers need > openings of hidden answers > progress of visible answers
    > decoration

and within each, the longest waiting first. Only native streams go to the newest answer first: an answer that has waited
has less left to stream, and no stream becomes available sooner because of it. If there are more answers than streams,
the fastest writers get them. Overdue calls go before all others, after
being overtaken a few times (`urgency`). How much of each limit an answer may use depends on all other answers
(`workload`). The cost of a check grows with the number of answers and of buckets waited for, not with the number of
queued calls (`call_queue`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from handlers.rate_limits.call_queue import CallQueue
from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility, Waiting
from handlers.rate_limits.recent_answers import RecentAnswers
from handlers.rate_limits.slack_rates import APPEND, POST, START, STOP, UPDATE, Rate
from handlers.rate_limits.token_bucket import TokenBucket, TokenBuckets
from handlers.rate_limits.urgency import StarvationGuard, Urgency
from handlers.rate_limits.workload import (
    MIN_WRITE_INTERVAL,
    OpeningLimits,
    ProgressLimits,
    Workload,
)

RECHECK_INTERVAL = 0.25
"""Seconds between two checks whether there is room for a held answer; it is unknown when another answer will end."""
SCARCE_POST_DELAY = 0.7
"""Seconds that first words wait if posts are scarce, because a single word is too little for a message."""
FULL_BUCKET = math.inf
"""The reserve of a call that is only made while the bucket is full."""
MAX_HOLD = 8.0
"""Seconds after which held answers are opened, one by one, even if they can rarely be edited."""
_MIN_SLEEP = 0.005
"""Minimum seconds between two checks."""
_TOLERANCE = 1e-6
"""Seconds by which a call may be early, since clocks and floating point are not exact."""

Grant = tuple[Waiting, str]


class NextCall(NamedTuple):
    """The next call of something that waits, and when it may be made."""

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
        self._queue = CallQueue()
        self._starvation = StarvationGuard()
        self._recent = RecentAnswers()
        self.peers = 1
        """Processes that use the same rate limits, this one included."""
        self._edits_opened = 0
        self._edit_opened_at = float("-inf")

    def join(self, pending: PendingWrite) -> None:
        self._writes[pending] = None

    def leave(self, pending: PendingWrite, now: float) -> None:
        self._writes.pop(pending, None)
        seconds = pending.seconds_of_text()
        if seconds is not None:
            streamed = pending.visibility is Visibility.NATIVE
            speed = pending.speed(now) if pending.wanted_stream() else None
            self._recent.note(now, seconds, speed=speed, streamed=streamed)

    @property
    def writing(self) -> int:
        """How many answers share the rate limits now."""
        return len(self._writes)

    def enqueue(self, queued_call: QueuedCall) -> QueuedCall | None:
        """Returns the older call that this one has replaced, which no longer waits."""
        return self._queue.add(queued_call)

    def put_back(self, queued_call: QueuedCall) -> bool:
        """A granted call cannot be made yet. Returns whether it waits again, which it does not if a newer one does."""
        if self._queue.waiting_for(queued_call.target) is not None:
            return False
        self._queue.add(queued_call)
        return True

    def withdraw(self, queued_call: QueuedCall) -> None:
        self._queue.discard(queued_call)

    def bucket(self, method: str, channel: str, now: float) -> TokenBucket:
        return self._buckets.get(method, channel, now)

    def set_fraction(self, now: float, fraction: float) -> None:
        """Only this fraction of each rate limit may be used here from now on; the rest belongs to other processes."""
        self._buckets.set_fraction(now, fraction)

    def rate(self, method: str) -> Rate:
        """The documented rate limit of a method."""
        return self._buckets.rate(method)

    def rate_limited(self, method: str, channel: str, now: float, retry_after: float) -> None:
        """Slack responded to a call with HTTP 429."""
        self.bucket(method, channel, now).rate_limited(now, retry_after)

    def grants(self, now: float) -> list[Grant]:
        """Who may make which call at this moment; the calls are deducted from the buckets."""
        load, granted = self._load(now), {}
        for waiting, call in self._candidates(load):
            if call.due(now) and waiting not in granted:
                self._take(waiting, call, load)
                granted[waiting] = call.method
        return list(granted.items())

    def wake_at(self, now: float) -> float | None:
        """When `grants` may grant something again; None: not until something changes."""
        candidates = self._candidates(self._load(now))
        earliest = min((call.ready_at for _, call in candidates), default=None)
        return None if earliest is None else max(now + _MIN_SLEEP, earliest)

    def _load(self, now: float) -> Workload:
        return Workload(self._writes, self._buckets, self.peers, now, self._recent)

    def _candidates(self, load: Workload) -> Iterator[tuple[Waiting, NextCall]]:
        """All candidates for the next grant, most urgent first, each with its next call.

        Each step is computed lazily, so what `grants` has deducted from a bucket before is taken into account.
        """
        ready = [write for write in self._writes if not write.busy and write.wants_call()]
        ready.sort(key=_waiting_since)
        endings = [write for write in ready if write.ends()]
        yield from self._passed_over(endings, load)
        yield from self._queued(Urgency.REPLY, load)
        for write in endings:
            yield write, self._next_ending(write, load)
        yield from self._queued(Urgency.ANSWER, load)
        yield from self._openings(ready, load)
        yield from self._progress(ready, load)
        yield from self._queued(Urgency.DECORATION, load)

    def _passed_over(
        self, endings: list[PendingWrite], load: Workload
    ) -> Iterator[tuple[Waiting, NextCall]]:
        """Overdue calls that have been overtaken often enough, at most one for each bucket at a time."""
        for urgency in (Urgency.ANSWER, Urgency.DECORATION):
            for call in self._queue.first(urgency):
                if self._has_priority(call.method, call, urgency, load.now):
                    yield call, self._next_queued(call, load)
        for write in endings:
            method = _ending_methods(write)[0]
            if self._has_priority(method, write, Urgency.ANSWER, load.now):
                yield write, NextCall(method, load.ready_at(method, write.channel))

    def _has_priority(self, method: str, waiting: Waiting, urgency: Urgency, now: float) -> bool:
        if waiting.waiting_since is None:
            return False
        bucket = self.bucket(method, waiting.channel, now)
        return self._starvation.has_priority(bucket, urgency, now - waiting.waiting_since)

    def _queued(self, urgency: Urgency, load: Workload) -> Iterator[tuple[Waiting, NextCall]]:
        for call in self._queue.first(urgency):
            yield call, self._next_queued(call, load)

    def _openings(
        self, ready: list[PendingWrite], load: Workload
    ) -> Iterator[tuple[Waiting, NextCall]]:
        hidden = [w for w in ready if w.visibility is Visibility.HIDDEN and not w.ends()]
        if not hidden:
            return
        for write in reversed(hidden):
            if write.may_stream and not write.reuses_message:
                yield write, NextCall(START, load.stream_ready_at(write))
        limits, opened_before = load.opening_limits(), self._edits_opened
        for write in hidden:
            opened = self._edits_opened - opened_before
            yield write, self._next_opening_as_edit(write, load, limits, opened)

    def _progress(
        self, ready: list[PendingWrite], load: Workload
    ) -> Iterator[tuple[Waiting, NextCall]]:
        for visibility in (Visibility.NATIVE, Visibility.EDITED):
            progressing = [w for w in ready if w.visibility is visibility and not w.ends()]
            if progressing:
                limits = load.progress_limits(visibility)
                for write in progressing:
                    yield write, self._next_progress(write, load, limits)

    def _take(self, waiting: Waiting, call: NextCall, load: Workload) -> None:
        bucket = load.take(call.method, waiting.channel)
        if isinstance(waiting, QueuedCall):
            self._starvation.note(bucket, waiting.urgency)
            self._queue.discard(waiting)
            return
        self._starvation.note(bucket, Urgency.ANSWER)
        if waiting.visibility is Visibility.HIDDEN and not waiting.ends():
            native = call.method == START
            waiting.opening = Visibility.NATIVE if native else Visibility.EDITED
            if not native:
                self._edits_opened += 1
                self._edit_opened_at = load.now

    # -- one rule for each kind of call ------------------------------------------------------------------------

    def _next_ending(self, write: PendingWrite, load: Workload) -> NextCall:
        methods = _ending_methods(write)
        return _first([NextCall(m, load.ready_at(m, write.channel)) for m in methods], load.now)

    def _next_queued(self, call: QueuedCall, load: Workload) -> NextCall:
        reserve = load.reserve_for(call)
        return NextCall(call.method, load.ready_at(call.method, call.channel, reserve))

    def _next_opening_as_edit(
        self, write: PendingWrite, load: Workload, limits: OpeningLimits, opened: int
    ) -> NextCall:
        """`opened`: how many answers were opened as edited messages since `limits` were computed."""
        assert write.waiting_since is not None
        now = load.now
        held_until = write.waiting_since + MAX_HOLD
        if write.channel in limits.scarce and not write.reuses_message and now < held_until:
            room = limits.scarce[write.channel] - opened
            spare = (
                load.ready_at(POST, write.channel, FULL_BUCKET)
                if room >= 1.0
                else now + RECHECK_INTERVAL
            )
            at = max(write.waiting_since + SCARCE_POST_DELAY, spare)
            return NextCall(POST, min(at, held_until))
        method = UPDATE if write.reuses_message else POST
        opens_at = write.waiting_since
        if not write.reuses_message:
            opens_at = self._first_words_at(write, load, limits, opened)
        held_until = max(held_until, opens_at, self._next_edit_refilled_at(now))
        if limits.room <= opened and now < held_until:
            opens_at = now + RECHECK_INTERVAL
        return NextCall(method, max(opens_at, load.ready_at(method, write.channel)))

    def _first_words_at(
        self, write: PendingWrite, load: Workload, limits: OpeningLimits, opened: int
    ) -> float:
        """Evenly, or sooner while edits and posts are full, because overflowing tokens are lost."""
        assert write.waiting_since is not None
        evenly = write.waiting_since + limits.interval
        full = [load.ready_at(m, write.channel, FULL_BUCKET) for m in (UPDATE, POST)]
        return max(write.waiting_since + limits.delay(opened), min(evenly, max(full)))

    def _next_edit_refilled_at(self, now: float) -> float:
        """When the edits have refilled by one since the last opening: held answers are opened at this rate."""
        return self._edit_opened_at + 1.0 / self.bucket(UPDATE, "", now).per_second

    def _next_progress(
        self, write: PendingWrite, load: Workload, limits: ProgressLimits
    ) -> NextCall:
        """Evenly, or sooner while the bucket is full, because overflowing tokens are lost."""
        method = APPEND if write.visibility is Visibility.NATIVE else UPDATE
        evenly = max(write.written_at + limits.interval, load.ready_at(method, "", limits.reserve))
        while_full = max(
            write.written_at + MIN_WRITE_INTERVAL, load.ready_at(method, "", FULL_BUCKET)
        )
        return NextCall(method, min(evenly, while_full))


def _first(calls: list[NextCall], now: float) -> NextCall:
    """The first one that is due, else the one that will be due earliest."""
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
