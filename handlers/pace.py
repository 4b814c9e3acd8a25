"""Who may write next in one workspace, within Slack's budgets. Pure: time is an argument, nothing is called.

Slack counts calls per method, workspace and app (posts: per channel) and says how many a minute; how many may come at
once it does not say. So every method has a token bucket with the documented rate and a cautious burst, and each 429
teaches it better.

Every answer that is being written has a `Desire`. Native streams spend `chat.appendStream`, edited messages
`chat.update`; an answer that is not visible yet may become either, so both budgets carry answers at the same time.
Among those that are ready the longest waiting reader is served first; endings come before progress. How long a
reader waits between two writes (`gap`) follows from the budget left and the number of answers that share it: a lone
answer is near to immediate, a crowd is served evenly instead of in one burst and a long silence. When even the edits
of a crowd would come too seldom, the youngest answers are held and posted whole, since posting has its own budget.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

START = "chat.startStream"
APPEND = "chat.appendStream"
STOP = "chat.stopStream"
UPDATE = "chat.update"
POST = "chat.postMessage"

MIN_GAP = 0.44
"""Seconds between two writes of one answer, however rich the budget: more often is flicker, not speed."""
HORIZON = 3.0
"""Seconds over which a full bucket's burst is spread: so that a short answer, too, is written evenly."""
REFILL = 2.0
"""Seconds of refill that are counted on, besides what is there, for ending the answers opened as edits."""
MAX_HOLD = 8.0
"""Seconds after which a held answer is opened even if its edits will come seldom."""
FORGIVE_AFTER = 60.0
"""Seconds without a 429 after which a bucket that had learnt caution trusts a little more."""


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


class Bucket:
    """The allowance of one method: a token bucket that a 429 teaches caution."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._trust = 1.0
        self._part = 1.0
        self._burst = rate.burst
        self._level = rate.burst
        self._at = now
        self._held_until = 0.0
        self._refused_at = float("-inf")

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

    def give_back(self) -> None:
        self._level = min(self.burst, self._level + 1.0)

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
        if now - self._refused_at > FORGIVE_AFTER and (self._trust < 1.0 or self._burst < self._rate.burst):
            self._refused_at = now
            self._trust = min(1.0, self._trust * 1.15)
            self._burst = min(self._rate.burst, self._burst + 1.0)
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.per_second)
            self._at = now


class Shown(StrEnum):
    """How an answer is visible."""

    NOT = "not"
    NATIVE = "native"
    EDIT = "edit"


@dataclass(slots=True, eq=False)
class Desire:
    """What one answer wants to write. Its writer keeps it true; `Pace` only reads it."""

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
    """What it was last given a turn to become; `Pace` keeps this true."""
    must_close: bool = False
    """The native stream must be ended before anything else can be written."""

    def unopened(self) -> bool:
        """Not visible, and nothing on the way that makes it so."""
        return self.shown is Shown.NOT and not (self.busy and self.opening is not Shown.NOT)

    def lives_on(self, shown: Shown) -> bool:
        """Whether it spends that budget, or is just about to."""
        if self.whole:
            return False
        return self.shown is shown or (self.busy and self.shown is Shown.NOT and self.opening is shown)


@dataclass(slots=True, eq=False)
class Errand:
    """One call that is no answer's text: a menu, a header, a private word."""

    method: str
    channel: str
    since: float


Grant = tuple[Desire | Errand, str]
Class = Literal["errand", "final", "open", "progress"]


class Pace:
    """The scheduler of one workspace."""

    def __init__(self, rates: dict[str, Rate] | None = None) -> None:
        self._rates = rates or RATES
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._desires: set[Desire] = set()
        self._errands: list[Errand] = []
        self._part = 1.0
        self._opened_edit_at = float("-inf")

    def join(self, desire: Desire) -> None:
        self._desires.add(desire)

    def leave(self, desire: Desire) -> None:
        self._desires.discard(desire)

    def send(self, errand: Errand) -> None:
        bisect.insort(self._errands, errand, key=lambda each: each.since)

    def withdraw(self, errand: Errand) -> None:
        if errand in self._errands:
            self._errands.remove(errand)

    def bucket(self, method: str, channel: str, now: float) -> Bucket:
        key = (method, channel if method in PER_CHANNEL else "")
        found = self._buckets.get(key)
        if found is None:
            self._sweep(now)
            found = self._buckets[key] = Bucket(self.rate(method), now)
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
        self._run_errands(now, given)
        ready = sorted((d for d in self._desires if not d.busy and _wants(d)), key=_waited_longest)
        for choose in (self._final, self._open, self._progress):
            choose(now, ready, given)
        granted = {id(who) for who, _ in given}
        self._errands = [e for e in self._errands if id(e) not in granted]
        return given

    def wake_at(self, now: float) -> float | None:
        """When `grants` may have something to give again; None: not before something changes."""
        times = [self.bucket(e.method, e.channel, now).ready_at(now) for e in self._errands]
        times += [self._earliest(d, now) for d in self._desires if not d.busy and _wants(d)]
        return max(now + 0.005, min(times)) if times else None

    # -- who is next -------------------------------------------------------------------------------------------

    def _run_errands(self, now: float, given: list[Grant]) -> None:
        given.extend((e, e.method) for e in self._errands if self._take(e.method, e.channel, now))

    def _final(self, now: float, ready: list[Desire], given: list[Grant]) -> None:
        for desire in ready:
            if not (desire.whole or desire.must_close):
                continue
            if method := self._first_free(self._final_calls(desire), desire.channel, now):
                given.append((desire, method))

    def _final_calls(self, desire: Desire) -> tuple[str, ...]:
        if desire.must_close:
            return (STOP,)
        if desire.shown is Shown.NATIVE:
            return (STOP, APPEND) if desire.since is not None else (STOP,)
        if desire.shown is Shown.EDIT or desire.reuse:
            return (UPDATE,)
        return (POST, START) if desire.may_native else (POST,)

    def _open(self, now: float, ready: list[Desire], given: list[Grant]) -> None:
        unseen = [d for d in ready if d.shown is Shown.NOT and not d.whole and not d.must_close]
        if not unseen:
            return
        room, gap = self._edit_room(now)
        queues = Counter(d.channel for d in unseen)
        for desire in unseen:
            if desire.may_native and not desire.reuse and self._take(START, desire.channel, now):
                desire.opening = Shown.NATIVE
                given.append((desire, START))
                continue
            assert desire.since is not None
            waited = now - desire.since
            if self._spare_edit(now):
                waited = MAX_HOLD
            if room <= 0 and waited < MAX_HOLD:
                continue
            if waited < self._first_delay(now, desire, gap, queues[desire.channel]):
                continue
            method = UPDATE if desire.reuse else POST
            if self._take(method, desire.channel, now):
                desire.opening = Shown.EDIT
                self._opened_edit_at = now
                given.append((desire, method))
                room -= 1

    def _spare_edit(self, now: float) -> bool:
        """Edits are full and refill in vain: one more answer may be opened and live on what would be lost."""
        bucket = self.bucket(UPDATE, "", now)
        return bucket.level(now) >= bucket.burst and now - self._opened_edit_at >= 1.0 / bucket.per_second

    def _edit_room(self, now: float) -> tuple[float, float]:
        """How many more answers the edits can carry, and the gap that they will then have.

        Answers that have no text yet count too: they will want their share in a moment.
        """
        bucket = self.bucket(UPDATE, "", now)
        carry = bucket.level(now) + REFILL * bucket.per_second
        edits = sum(1 for d in self._desires if d.lives_on(Shown.EDIT))
        room = max(0.0, carry - edits) if edits else max(1.0, carry)
        coming = sum(1 for d in self._desires if d.unopened()) - self.bucket(START, "", now).level(now)
        return room, self.gap(Shown.EDIT, now, edits + max(1, min(int(coming), int(room))))

    def _first_delay(self, now: float, desire: Desire, gap: float, queue: int) -> float:
        """A crowd's first words wait half a gap, so that its few edits are spread evenly; unless posts are scarcer."""
        if gap <= 1.0 or desire.reuse:
            return 0.0
        posts = self.bucket(POST, desire.channel, now)
        return max(0.0, gap / 2 - max(0.0, queue - posts.level(now)) / posts.per_second)

    def _progress(self, now: float, ready: list[Desire], given: list[Grant]) -> None:
        for shown, method in ((Shown.NATIVE, APPEND), (Shown.EDIT, UPDATE)):
            gap, reserve = self._share(shown, now)
            for desire in ready:
                if desire.shown is not shown or desire.whole or desire.must_close:
                    continue
                if now < desire.written_at + gap - 1e-6:
                    continue
                if not self._take(method, desire.channel, now, reserve):
                    break
                given.append((desire, method))

    def _share(self, shown: Shown, now: float) -> tuple[float, float]:
        """The gap between two writes of one answer now, and the calls that progress must leave for endings.

        An edited message ends by one more edit, a stream by a call of its own: so only edits need a reserve.
        """
        sharers = sum(1 for d in self._desires if d.lives_on(shown))
        reserve = min(float(sharers), self.rate(UPDATE).burst - 1.0) if shown is Shown.EDIT and sharers > 1 else 0.0
        return self.gap(shown, now, max(1, sharers), reserve), reserve

    def _earliest(self, desire: Desire, now: float) -> float:
        if desire.whole or desire.must_close:
            calls = self._final_calls(desire)
            return min(self.bucket(m, desire.channel, now).ready_at(now) for m in calls)
        if desire.shown is Shown.NOT:
            calls = (UPDATE,) if desire.reuse else (START, POST) if desire.may_native else (POST,)
            soonest = min(self.bucket(m, desire.channel, now).ready_at(now) for m in calls)
            return max(soonest, now + 0.05)
        method = APPEND if desire.shown is Shown.NATIVE else UPDATE
        gap, reserve = self._share(desire.shown, now)
        return max(desire.written_at + gap, self.bucket(method, "", now).ready_at(now, reserve))

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
        full: Callable[[Bucket], bool] = lambda b: b.level(now) >= b.burst  # noqa: E731
        self._buckets = {k: b for k, b in self._buckets.items() if not k[1] or not full(b)}


def _wants(desire: Desire) -> bool:
    return desire.since is not None or desire.whole or desire.must_close


def _waited_longest(desire: Desire) -> float:
    return desire.since if desire.since is not None else float("inf")
