"""Many answers in one workspace, in simulated time: `WriteScheduler` decides, a strict Slack allows or refuses.

Nothing sleeps: events are kept in a heap. Each answer gets words at a rate; a call takes `round_trip` seconds; Slack's
own buckets follow the documented tiers with a burst of the simulation's choosing.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import PER_CHANNEL, POST, RATES, START, STOP, UPDATE
from handlers.rate_limits.urgency import Urgency, usual_urgency

PAGE = 1_600
"""Words that fit in one message; a longer answer continues in the next."""


@dataclass
class SlackBucket:
    rate: float
    burst: float
    level: float
    at: float = 0.0

    def allows(self, now: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1.0 - 1e-9:
            return False
        self.level -= 1.0
        return True

    def retry_after(self) -> float:
        return max(1.0, math.ceil((1.0 - self.level) / self.rate))


@dataclass(eq=False)
class Writer:
    """One answer: its words come at `rate` a second from `begins` on."""

    channel: str
    begins: float
    words: int
    rate: float
    native: bool = True
    thinks: float = 0.0
    """Seconds before `begins` at which the model was asked."""
    pending: PendingWrite = field(init=False)
    arrived: int = 0
    seen: int = 0
    page_from: int = 0
    """Words that stand in earlier messages."""
    sent_at: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    """When something new became visible."""
    done_at: float | None = None

    def __post_init__(self) -> None:
        self.pending = PendingWrite(self.channel, may_stream=self.native, busy=False)

    @property
    def ends(self) -> float:
        """When the model is through."""
        return self.begins + self.words / self.rate

    def complete(self) -> bool:
        return self.done_at is not None and self.seen == self.words

    def overflows(self) -> bool:
        return self.arrived - self.page_from > PAGE

    def largest_gap(self) -> float:
        """The longest time between two visible changes."""
        return max((b - a for a, b in itertools.pairwise(self.changes)), default=0.0)


class Simulation:
    """`burst`: the share of a minute's allowance that Slack lets through at once. `jitter`: how much longer than
    usual, in seconds, a call may take to reach Slack."""

    def __init__(
        self,
        *,
        burst: float = 0.2,
        post_burst: float = 3.0,
        round_trip: float = 0.1,
        jitter: float = 0.0,
        scheduler: WriteScheduler | None = None,
    ) -> None:
        self.scheduler = scheduler or WriteScheduler()
        self.burst, self.post_burst, self.round_trip, self.jitter = (
            burst,
            post_burst,
            round_trip,
            jitter,
        )
        self._random = random.Random(7)
        self.now = 0.0
        self.calls: Counter[str] = Counter()
        self.rate_limited: Counter[str] = Counter()
        self.writers: list[Writer] = []
        self.queued_call_waits: list[float] = []
        self.waits_by_urgency: dict[Urgency, list[float]] = {each: [] for each in Urgency}
        self._writer_of: dict[int, Writer] = {}
        self._slack: dict[tuple[str, str], SlackBucket] = {}
        self._closed_until: dict[tuple[str, str], float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._next_dispatch = float("inf")
        self._queued_calls: set[int] = set()

    def add(self, writer: Writer) -> Writer:
        self.writers.append(writer)
        self._writer_of[id(writer.pending)] = writer
        self._at(writer.begins - writer.thinks, lambda: self._begin(writer))
        return writer

    def queue(
        self, at: float, method: str, channel: str, urgency: Urgency | None = None
    ) -> QueuedCall:
        """A call that comes into the queue at this time; by default as urgent as its method usually is."""
        urgency = usual_urgency(method) if urgency is None else urgency
        queued_call = QueuedCall(method, channel, at, urgency)
        self._at(at, lambda: self._enqueue(queued_call))
        return queued_call

    def run(self, until: float = 100_000.0) -> None:
        while self._events and self.now < until:
            self.now, _, action = heapq.heappop(self._events)
            action()

    # -- what came out ---------------------------------------------------------------------------------------------

    def completed(self) -> int:
        return sum(writer.complete() for writer in self.writers)

    def lags(self) -> list[float]:
        """Seconds from each word's coming to its being visible, in order of size."""
        return sorted(lag for writer in self.writers for lag in writer.lags)

    def mean_lag(self) -> float:
        return statistics.fmean(self.lags())

    def p95_lag(self) -> float:
        lags = self.lags()
        return lags[int(len(lags) * 0.95)]

    def first_words(self) -> float:
        """Mean seconds from the first word's coming to its being visible."""
        return statistics.fmean(writer.changes[0] - writer.sent_at[0] for writer in self.writers)

    def ended(self) -> float:
        return max(writer.done_at or float("inf") for writer in self.writers)

    # -- machinery -------------------------------------------------------------------------------------------------

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def _begin(self, writer: Writer) -> None:
        self.scheduler.join(writer.pending)
        self._at(writer.begins + 1 / writer.rate, lambda: self._word(writer))

    def _word(self, writer: Writer) -> None:
        pending = writer.pending
        writer.arrived += 1
        pending.received += 1
        writer.sent_at.append(self.now)
        whole = writer.arrived == writer.words
        closes = (
            pending.visibility is Visibility.NATIVE
            and writer.overflows()
            and not pending.must_close
        )
        if not whole:
            self._at(writer.begins + (writer.arrived + 1) / writer.rate, lambda: self._word(writer))
        if pending.waiting_since is None or whole or closes:
            pending.text_arrived(self.now)
            pending.must_close = pending.must_close or closes
            if whole:
                pending.text_ended(self.now)
            self._dispatch()

    def _enqueue(self, queued_call: QueuedCall) -> None:
        self._queued_calls.add(id(queued_call))
        self.scheduler.enqueue(queued_call)
        self._dispatch()

    def _dispatch(self) -> None:
        for who, method in self.scheduler.grants(self.now):
            if isinstance(who, QueuedCall):
                self._run_queued_call(who, method)
            else:
                self._call(self._writer_of[id(who)], method)
        wake = self.scheduler.wake_at(self.now)
        if wake is not None and not self.now < self._next_dispatch <= wake:
            self._next_dispatch = wake
            self._at(wake, lambda: self._dispatch_again(wake))

    def _dispatch_again(self, due: float) -> None:
        if due == self._next_dispatch:  # otherwise an earlier one was requested in the meantime
            self._next_dispatch = float("inf")
            self._dispatch()

    def _travel(self) -> float:
        """Seconds until a call reaches Slack; its answer takes half a round trip back."""
        return self.round_trip / 2 + self._random.uniform(0.0, self.jitter)

    def _run_queued_call(self, queued_call: QueuedCall, method: str) -> None:
        self.queued_call_waits.append(self.now - queued_call.waiting_since)
        self.waits_by_urgency[queued_call.urgency].append(self.queued_call_waits[-1])
        self._at(self.now + self._travel(), lambda: self._queued_call_arrives(queued_call, method))

    def _queued_call_arrives(self, queued_call: QueuedCall, method: str) -> None:
        wait = self._ask(method, queued_call.channel)
        self._at(
            self.now + self.round_trip / 2, lambda: self._queued_call_answered(queued_call, wait)
        )

    def _queued_call_answered(self, queued_call: QueuedCall, wait: float) -> None:
        self._settle(queued_call.method, queued_call.channel, wait)
        if wait:
            self._enqueue(queued_call)

    def _call(self, writer: Writer, method: str) -> None:
        pending = writer.pending
        pending.busy, pending.written_at = True, self.now
        since, pending.waiting_since = pending.waiting_since, None
        shown = min(writer.arrived, writer.page_from + PAGE)
        final = pending.final and shown == writer.words
        self._at(
            self.now + self._travel(), lambda: self._arrives(writer, method, shown, since, final)
        )

    def _arrives(
        self, writer: Writer, method: str, shown: int, since: float | None, final: bool
    ) -> None:
        wait = self._ask(method, writer.channel)
        if not wait:
            self._visible(writer, shown)
        self._at(
            self.now + self.round_trip / 2,
            lambda: self._answered(writer, method, wait, since, final),
        )

    def _settle(self, method: str, channel: str, wait: float) -> None:
        self.scheduler.bucket(method, channel, self.now).settle(self.now)
        if wait:
            self._closed_until[_key(method, channel)] = self.now + wait
            self.scheduler.rate_limited(method, channel, self.now, wait)

    def _ask(self, method: str, channel: str) -> float:
        """What Slack says to a call: 0.0, or after how many seconds to call again."""
        key = _key(method, channel)
        if key not in self._slack:
            rate = RATES[method].per_second
            burst = self.post_burst if method == POST else max(1.0, rate * 60 * self.burst)
            self._slack[key] = SlackBucket(rate, burst, burst, self.now)
        self.calls[method] += 1
        assert self.now >= self._closed_until.get(key, 0.0), (
            f"{method} was called before Retry-After was over"
        )
        if self._slack[key].allows(self.now):
            return 0.0
        self.rate_limited[method] += 1
        return self._slack[key].retry_after()

    def _visible(self, writer: Writer, shown: int) -> None:
        if shown > writer.seen:
            writer.lags += [self.now - at for at in writer.sent_at[writer.seen : shown]]
            writer.seen = shown
            writer.changes.append(self.now)

    def _answered(
        self, writer: Writer, method: str, wait: float, since: float | None, final: bool
    ) -> None:
        pending = writer.pending
        pending.busy = False
        self._settle(method, writer.channel, wait)
        if wait:
            pending.waiting_since = since if since is not None else self.now
        elif final and method in (STOP, UPDATE, POST):
            writer.done_at = self.now
            self.scheduler.leave(pending, self.now)
            pending.busy = True
        else:
            self._shown_by(writer, method)
        self._dispatch()

    def _shown_by(self, writer: Writer, method: str) -> None:
        pending = writer.pending
        if method == START:
            pending.visibility = Visibility.NATIVE
        elif method == POST:
            pending.visibility = Visibility.EDITED
        if pending.visibility is Visibility.NATIVE and method != STOP:
            pending.must_close = writer.overflows()
        elif writer.overflows():  # this message is full and stays; the rest goes into the next
            writer.page_from += PAGE
            pending.visibility, pending.must_close = Visibility.HIDDEN, False
            pending.continues = True
        if pending.waiting_since is None and writer.arrived > writer.seen:
            pending.waiting_since = self.now


def _key(method: str, channel: str) -> tuple[str, str]:
    return method, channel if method in PER_CHANNEL else ""


def storm(
    count: int,
    *,
    channels: int = 1,
    words: int = 200,
    rate: float = 40.0,
    spread: float = 0.0,
    **options: float,
) -> Simulation:
    """So many answers at the same moment, or evenly within `spread` seconds, over so many channels."""
    simulation = Simulation(**options)  # type: ignore[arg-type]
    for number in range(count):
        simulation.add(Writer(f"C{number % channels}", spread * number / count, words, rate))
    simulation.run()
    return simulation


def mixed_hour(
    *,
    a_minute: float = 4.0,
    channels: int = 12,
    natives: float = 0.7,
    seed: int = 1,
    hours: float = 1.0,
    **options: float,
) -> Simulation:
    """Answers at random times, `a_minute` on average: short and long, slow and fast, streams and edits, together with
    the menus, headers and reactions of a chat.
    """
    simulation, chance, at = Simulation(**options), random.Random(seed), 0.0  # type: ignore[arg-type]
    while at < hours * 3600:
        at += chance.expovariate(a_minute / 60)
        channel = f"C{chance.randrange(channels)}"
        words = round(20 * 100 ** chance.random())
        simulation.add(
            Writer(channel, at, words, chance.uniform(10, 100), native=chance.random() < natives)
        )
        simulation.queue(at, UPDATE, channel)
        simulation.queue(at, "assistant.threads.setStatus", channel)
        if chance.random() < 0.3:
            simulation.queue(at, POST, channel)
            simulation.queue(at, "reactions.add", channel)
    simulation.run()
    return simulation


def workday(
    *,
    a_minute: float = 60.0,
    minutes: float = 3.0,
    least: float = 3.0,
    most: float = 7.0,
    channels: int = 10,
    natives: float = 0.9,
    thinking: float = 0.0,
    seed: int = 1,
    **options: float,
) -> Simulation:
    """Answers of `least` to `most` seconds at random moments, as in `tests.bench.day`, without what surrounds them.

    `thinking`: the mean seconds that a model thinks before its first word.
    """
    simulation, chance = Simulation(**options), random.Random(seed)  # type: ignore[arg-type]
    seconds, thoughts = minutes * 60, random.Random(seed)
    for at in sorted(chance.uniform(0, seconds) for _ in range(int(a_minute * minutes))):
        rate = chance.uniform(20, 40)
        words = int(rate * chance.uniform(least, most))
        channel = f"C{chance.randrange(channels)}"
        native, thinks = chance.random() < natives, thoughts.uniform(0.0, 2 * thinking)
        simulation.add(Writer(channel, at + thinks, words, rate, native=native, thinks=thinks))
    simulation.run()
    return simulation
