"""Who may write next in one workspace, within Slack's budgets. Pure: time is an argument, nothing is called.

Every answer that is being written has a `PendingWrite`. Native streams spend `chat.appendStream`, edited messages
`chat.update`; an answer that is not visible yet may become either, so both budgets carry answers at the same time.
Among those that are ready the longest waiting reader is served first; endings come before progress. How long a
reader waits between two writes (`gap`) follows from the budget left and the number of answers that share it: a lone
answer is near to immediate, a crowd is served evenly instead of in one burst and a long silence. When even the edits
of a crowd would come too seldom, the youngest answers are held and posted whole, since posting has its own budget.
Where a channel's posts are scarcer still, each is opened early that the posts can spare.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from handlers.rate_limits.token_bucket import (
    APPEND,
    PER_CHANNEL,
    POST,
    RATES,
    START,
    STOP,
    UNKNOWN,
    UPDATE,
    Rate,
    TokenBucket,
)

MIN_GAP = 0.44
"""Seconds between two writes of one answer, however rich the budget: more often is flicker, not speed."""
HORIZON = 3.5
"""Seconds over which a full bucket's burst is spread: so that a short answer, too, is written evenly."""
REFILL = 1.0
"""Seconds of refill that are counted on, besides what is there, for ending the answers opened as edits."""
FIRST_SHARE = 0.8
"""How long the first words of a crowd of edited answers wait, as a share of the gap that they will then have."""
LOOK_AGAIN = 0.25
"""Seconds between two looks whether there is room for a held answer."""
SCARCE = 2.0
"""Seconds that a channel's posts, all spent, would need for what is not visible: from then on they are scarce."""
FIRST_POST = 0.7
"""Seconds that first words wait where posts are scarce: one word is little for a message."""
END_LATER = 2.0
"""How much later than the last post of a channel the edits may end that were opened to spare posts, as a multiple."""
FULL = math.inf
"""What is left of a budget of which a call is taken only while it is full."""
MAX_HOLD = 8.0
"""Seconds after which held answers are opened, one by one, even if their edits will come seldom."""
MAX_WAIT = 20.0
"""Seconds after which a title is shown even if a crowd's endings need the edits."""


class Shown(StrEnum):
    """How an answer is visible."""

    NOT = "not"
    NATIVE = "native"
    EDIT = "edit"


@dataclass(slots=True, eq=False)
class PendingWrite:
    """What one answer wants to write. Its writer keeps it true; `WriteScheduler` only reads it."""

    channel: str
    shown: Shown = Shown.NOT
    may_native: bool = True
    since: float | None = None
    """When the oldest text that is not visible came; None: nothing to write."""
    written_at: float = float("-inf")
    """When the last write was sent."""
    busy: bool = True
    """Its writer is in the middle of a call, or has none; it shares the budget but takes nothing now."""
    whole: bool = False
    """The model has ended: the next write is the last."""
    reuse: bool = False
    """The next message is there already and is rewritten, not posted."""
    opening: Shown = Shown.NOT
    """What it was last given a turn to become; `WriteScheduler` keeps this true."""
    must_close: bool = False
    """The native stream must be ended before anything else can be written."""

    def unopened(self) -> bool:
        """Not visible, and nothing on the way that makes it so."""
        return self.shown is Shown.NOT and not (self.busy and self.opening is not Shown.NOT)

    def lives_on(self, shown: Shown) -> bool:
        """Whether it spends that budget, or is just about to."""
        if self.whole:
            return False
        return self.shown is shown or (
            self.busy and self.shown is Shown.NOT and self.opening is shown
        )


@dataclass(slots=True, eq=False)
class QueuedCall:
    """One call that is no answer's text: a menu, a header, a private word."""

    method: str
    channel: str
    since: float


Grant = tuple[PendingWrite | QueuedCall, str]


@dataclass(frozen=True, slots=True)
class _Outlook:
    """How answers may be opened as edited messages at one moment."""

    room: float = 0.0
    """So many more can be ended soon."""
    delay: float = 0.0
    """Seconds that their first words wait."""
    scarce: Mapping[str, float] = field(default_factory=dict)
    """For each channel with fewer posts than answers: so many more edits may be opened there to spare posts."""


class WriteScheduler:
    """The scheduler of one workspace."""

    def __init__(self, rates: Mapping[str, Rate] | None = None) -> None:
        self._rates = rates or RATES
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._desires: dict[
            PendingWrite, None
        ] = {}  # in the order of their coming, which decides between equals
        self._errands: list[QueuedCall] = []
        self._part = 1.0
        self.peers = 1
        """Processes that spend from the same allowances, this one included; each has about as many answers."""
        self._opened_edit_at = float("-inf")

    def join(self, pending: PendingWrite) -> None:
        self._desires[pending] = None

    def leave(self, pending: PendingWrite) -> None:
        self._desires.pop(pending, None)

    def send(self, queued_call: QueuedCall) -> None:
        bisect.insort(self._errands, queued_call, key=lambda each: each.since)

    def withdraw(self, queued_call: QueuedCall) -> None:
        if queued_call in self._errands:
            self._errands.remove(queued_call)

    def bucket(self, method: str, channel: str, now: float) -> TokenBucket:
        key = (method, channel if method in PER_CHANNEL else "")
        found = self._buckets.get(key)
        if found is None:
            self._sweep(now)
            found = self._buckets[key] = TokenBucket(self.rate(method), now)
            found.share(now, self._part)
        return found

    def share(self, now: float, part: float) -> None:
        """Only this part of each allowance may be spent here from now on: the rest is other processes'."""
        if part != self._part:
            self._part = part
            for bucket in self._buckets.values():
                bucket.share(now, part)

    def rate(self, method: str) -> Rate:
        """The documented allowance of a method."""
        return self._rates.get(method, UNKNOWN)

    def refused(self, method: str, channel: str, now: float, retry_after: float) -> None:
        self.bucket(method, channel, now).refused(now, retry_after)

    def gap(self, shown: Shown, now: float, sharers: int, reserve: float = 0.0) -> float:
        """Seconds between two writes of one answer when `sharers` answers live on the same budget.

        `reserve`: calls that are kept back for endings.
        """
        bucket = self.bucket(APPEND if shown is Shown.NATIVE else UPDATE, "", now)
        free = max(0.0, bucket.level(now) - reserve)
        return max(MIN_GAP, sharers / (free / HORIZON + bucket.per_second))

    def grants(self, now: float) -> list[Grant]:
        """Who may make which call at this moment; the calls are taken off the budgets."""
        given: list[Grant] = []
        ready = sorted((d for d in self._desires if not d.busy and _wants(d)), key=_waited_longest)
        self._final(now, ready, given)
        self._run_errands(now, given)
        for choose in (self._open, self._progress):
            choose(now, ready, given)
        granted = {id(who) for who, _ in given}
        self._errands = [e for e in self._errands if id(e) not in granted]
        return given

    def wake_at(self, now: float) -> float | None:
        """When `grants` may have something to give again; None: not before something changes."""
        wanting = [d for d in self._desires if not d.busy and _wants(d)]
        shares = {
            shown: self._share(shown, now) for shown in {d.shown for d in wanting} - {Shown.NOT}
        }
        outlook = (
            self._outlook(now)
            if any(d.shown is Shown.NOT and not d.whole for d in wanting)
            else _Outlook()
        )
        times = [
            self.bucket(e.method, e.channel, now).ready_at(now, self._kept_from(e, now))
            for e in self._errands
        ]
        times += [self._earliest(d, now, shares, outlook) for d in wanting]
        return max(now + 0.005, min(times)) if times else None

    # -- who is next -------------------------------------------------------------------------------------------

    def _run_errands(self, now: float, given: list[Grant]) -> None:
        given.extend(
            (e, e.method)
            for e in self._errands
            if self._take(e.method, e.channel, now, self._kept_from(e, now))
        )

    def _kept_from(self, queued_call: QueuedCall, now: float) -> float:
        """Calls that an errand must leave: a crowd's endings need the edits more than titles do, for a while."""
        if queued_call.method != UPDATE or now - queued_call.since > MAX_WAIT:
            return 0.0
        return float(sum(1 for d in self._desires if d.shown is Shown.EDIT))

    def _final(self, now: float, ready: list[PendingWrite], given: list[Grant]) -> None:
        for pending in ready:
            if not (pending.whole or pending.must_close):
                continue
            if method := self._first_free(self._final_calls(pending), pending.channel, now):
                given.append((pending, method))

    def _final_calls(self, pending: PendingWrite) -> tuple[str, ...]:
        if pending.must_close:
            return (STOP,)
        if pending.shown is Shown.NATIVE:
            return (STOP, APPEND) if pending.since is not None else (STOP,)
        if pending.shown is Shown.EDIT or pending.reuse:
            return (UPDATE,)
        return (POST, START) if pending.may_native and pending.since is not None else (POST,)

    def _open(self, now: float, ready: list[PendingWrite], given: list[Grant]) -> None:
        unseen = [d for d in ready if d.shown is Shown.NOT and not d.whole and not d.must_close]
        if not unseen:
            return
        outlook, opened = self._outlook(now), 0
        for pending in unseen:
            if pending.may_native and not pending.reuse and self._take(START, pending.channel, now):
                pending.opening = Shown.NATIVE
                given.append((pending, START))
            elif self._opens_as_edit(pending, now, outlook, opened):
                pending.opening, self._opened_edit_at = Shown.EDIT, now
                opened += 1
                given.append((pending, UPDATE if pending.reuse else POST))

    def _opens_as_edit(
        self, pending: PendingWrite, now: float, outlook: _Outlook, opened: int
    ) -> bool:
        assert pending.since is not None
        waited = now - pending.since
        if _spares(pending, now, outlook):
            room = outlook.scarce[pending.channel] - opened
            return (
                waited >= FIRST_POST
                and room >= 1.0
                and self._take(POST, pending.channel, now, FULL)
            )
        if waited < outlook.delay and not pending.reuse:
            return False
        if outlook.room <= opened and not (waited >= MAX_HOLD and self._another_edit(now)):
            return False
        return self._take(UPDATE if pending.reuse else POST, pending.channel, now)

    def _another_edit(self, now: float) -> bool:
        """Held answers are opened one by one, as the edits come back."""
        return now - self._opened_edit_at >= 1.0 / self.bucket(UPDATE, "", now).per_second

    def _outlook(self, now: float) -> _Outlook:
        return _Outlook(self._edit_room(now), self._first_delay(now), self._scarce(now))

    def _edit_room(self, now: float, ahead: float = REFILL) -> float:
        """How many more answers the edits can carry: each, and each that has been written, needs one for its end.

        `ahead`: seconds of refill that are counted on.
        """
        bucket = self.bucket(UPDATE, "", now)
        owed = self._living_on(Shown.EDIT) + sum(
            1 for d in self._desires if d.whole and d.shown is Shown.EDIT
        )
        ours = (bucket.level(now) + ahead * bucket.per_second) / self.peers
        return max(0.0 if owed else 1.0, ours - owed)

    def _scarce(self, now: float) -> dict[str, float]:
        """Channels in which held answers would long wait for a post, and how many may be opened there before.

        There a post that is not made while the bucket is full makes the last reader wait longer. What is opened so
        ends by an edit: later than at once, but about when the last post comes. Where the edits carry all that wait,
        posts need not be spared.
        """
        waiting = Counter(d.channel for d in self._desires if d.unopened() and not d.whole)
        rooms = {}
        for channel, count in waiting.items():
            posts = self.bucket(POST, channel, now)
            queue = (count - posts.burst) / posts.per_second
            if (
                queue >= SCARCE
                and (room := self._edit_room(now, END_LATER * queue)) < waiting.total()
            ):
                rooms[channel] = room
        return rooms

    def _coming(self, now: float) -> int:
        """Answers that will soon live on edits, too, those that have no text yet included."""
        unopened = sum(1 for d in self._desires if d.unopened())
        starts = self.bucket(START, "", now).level(now)
        return self._everywhere(max(0, int(min(unopened - starts, self._edit_room(now)))))

    def _first_delay(self, now: float) -> float:
        """Seconds that a crowd's first words wait: its few edits are spread evenly, unless posts are scarcer."""
        coming = max(1, self._coming(now))
        gap = self.gap(Shown.EDIT, now, self._sharers(Shown.EDIT) + coming)
        posts = [
            self.bucket(POST, channel, now)
            for channel in {d.channel for d in self._desires if d.unopened()}
        ]
        if gap <= 1.0 or not posts:
            return 0.0
        queue = max(0.0, coming - sum(bucket.level(now) for bucket in posts))
        return max(0.0, FIRST_SHARE * gap - queue / sum(bucket.per_second for bucket in posts))

    def _sharers(self, shown: Shown) -> int:
        return self._everywhere(self._living_on(shown))

    def _living_on(self, shown: Shown) -> int:
        return sum(1 for d in self._desires if d.lives_on(shown))

    def _everywhere(self, here: int) -> int:
        """How many there probably are in all processes; one alone is alone."""
        return here * self.peers if here > 1 else here

    def _progress(self, now: float, ready: list[PendingWrite], given: list[Grant]) -> None:
        for shown, method in ((Shown.NATIVE, APPEND), (Shown.EDIT, UPDATE)):
            gap, reserve = self._share(shown, now)
            for pending in ready:
                if pending.shown is not shown or pending.whole or pending.must_close:
                    continue
                if now < pending.written_at + (MIN_GAP if self._full(method, now) else gap) - 1e-6:
                    continue
                if not self._take(method, pending.channel, now, reserve):
                    break
                given.append((pending, method))

    def _full(self, method: str, now: float) -> bool:
        """Allowance that is not used now is lost."""
        bucket = self.bucket(method, "", now)
        return bucket.level(now) >= bucket.burst - 1e-6

    def _share(self, shown: Shown, now: float) -> tuple[float, float]:
        """The gap between two writes of one answer now, and the calls that progress must leave for endings and errands.

        An edited message ends by one more edit, a stream by a call of its own: so only edits need a reserve.
        """
        if shown is Shown.NATIVE:
            return self.gap(shown, now, max(1, self._sharers(shown))), 0.0
        sharers = self._sharers(shown) + self._coming(now)
        kept = (sharers if sharers > 1 else 0) + sum(1 for e in self._errands if e.method == UPDATE)
        reserve = min(float(kept), self.rate(UPDATE).burst - 1.0)
        return self.gap(shown, now, max(1, sharers), reserve), reserve

    def _earliest(
        self,
        pending: PendingWrite,
        now: float,
        shares: Mapping[Shown, tuple[float, float]],
        outlook: _Outlook,
    ) -> float:
        if pending.whole or pending.must_close:
            calls = self._final_calls(pending)
            return min(self.bucket(m, pending.channel, now).ready_at(now) for m in calls)
        if pending.shown is Shown.NOT:
            return max(now + 0.05, self._may_open_at(pending, now, outlook))
        method = APPEND if pending.shown is Shown.NATIVE else UPDATE
        gap, reserve = shares[pending.shown]
        bucket = self.bucket(method, "", now)
        evenly = max(pending.written_at + gap, bucket.ready_at(now, reserve))
        return min(
            evenly, max(pending.written_at + MIN_GAP, bucket.ready_at(now, bucket.burst - 1.0))
        )

    def _may_open_at(self, pending: PendingWrite, now: float, outlook: _Outlook) -> float:
        edit = self._edit_may_open_at(pending, now, outlook)
        return (
            min(edit, self._ready_at(START, pending, now))
            if pending.may_native and not pending.reuse
            else edit
        )

    def _edit_may_open_at(self, pending: PendingWrite, now: float, outlook: _Outlook) -> float:
        assert pending.since is not None
        if pending.reuse:
            return self._ready_at(UPDATE, pending, now)
        if _spares(pending, now, outlook):
            full = self.bucket(POST, pending.channel, now).ready_at(now, FULL)
            spared = full if outlook.scarce[pending.channel] >= 1.0 else now + LOOK_AGAIN
            return min(max(pending.since + FIRST_POST, spared), pending.since + MAX_HOLD)
        waits = pending.since + outlook.delay if outlook.room > 0 else now + LOOK_AGAIN
        return max(waits, self._ready_at(POST, pending, now))

    def _ready_at(self, method: str, pending: PendingWrite, now: float) -> float:
        return self.bucket(method, pending.channel, now).ready_at(now)

    # -- budgets -----------------------------------------------------------------------------------------------

    def _first_free(self, methods: Iterable[str], channel: str, now: float) -> str | None:
        return next((m for m in methods if self._take(m, channel, now)), None)

    def _take(self, method: str, channel: str, now: float, reserve: float = 0.0) -> bool:
        bucket = self.bucket(method, channel, now)
        if bucket.level(now) < 1.0 + min(reserve, bucket.burst - 1.0):
            return False
        bucket.take(now)
        return True

    def _sweep(self, now: float) -> None:
        """Forget the channels that have long been quiet, so that a workspace with many does not grow for ever."""
        if len(self._buckets) < 2_000:
            return
        self._buckets = {
            k: b for k, b in self._buckets.items() if not k[1] or b.level(now) < b.burst
        }


def _wants(pending: PendingWrite) -> bool:
    return pending.since is not None or pending.whole or pending.must_close


def _spares(pending: PendingWrite, now: float, outlook: _Outlook) -> bool:
    """Whether it may only be opened by a post that is left over, for now."""
    waited = now - pending.since if pending.since is not None else 0.0
    return pending.channel in outlook.scarce and waited < MAX_HOLD and not pending.reuse


def _waited_longest(pending: PendingWrite) -> float:
    return pending.since if pending.since is not None else float("inf")
