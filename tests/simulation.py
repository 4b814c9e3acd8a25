"""Many answers in one workspace, in simulated time: `Pace` decides, a strict Slack allows or refuses.

Nothing sleeps: events are kept in a heap. Each answer gets words at a rate; a call takes `round_trip` seconds; Slack's
own buckets follow the documented tiers with a burst of the simulation's choosing.
"""

from __future__ import annotations

import heapq
import itertools
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from handlers.pace import APPEND, PER_CHANNEL, POST, RATES, START, STOP, UPDATE, Desire, Errand, Pace, Shown

STREAM_LIFE = 235.0


@dataclass
class SlackBucket:
    rate: float
    burst: float
    level: float
    at: float = 0.0

    def allows(self, now: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True

    def retry_after(self) -> float:
        return max(1.0, -(-(1.0 - self.level) // self.rate) if self.rate else 1.0)


@dataclass(eq=False)
class Writer:
    """One answer: its words come at `rate` a second from `begins` on."""

    channel: str
    begins: float
    words: int
    rate: float
    native: bool = True
    desire: Desire = field(init=False)
    arrived: int = 0
    seen: int = 0
    sent_at: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    done_at: float | None = None

    def __post_init__(self) -> None:
        self.desire = Desire(self.channel, may_native=self.native, busy=False)


class Simulation:
    def __init__(
        self, *, burst: float = 0.2, post_burst: float = 3.0, round_trip: float = 0.1, pace: Pace | None = None
    ) -> None:
        self.pace = pace or Pace()
        self.burst, self.post_burst, self.round_trip = burst, post_burst, round_trip
        self.now = 0.0
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.writers: list[Writer] = []
        self._slack: dict[tuple[str, str], SlackBucket] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._next_look = float("inf")

    def add(self, writer: Writer) -> Writer:
        self.writers.append(writer)
        self._at(writer.begins, lambda: self._begin(writer))
        return writer

    def errand(self, at: float, method: str, channel: str) -> None:
        self._at(at, lambda: self._send(Errand(method, channel, at)))

    def run(self, until: float = 100_000.0) -> None:
        while self._events and self.now < until:
            self.now, _, action = heapq.heappop(self._events)
            action()

    # -- what came out ---------------------------------------------------------------------------------------------

    def mean_lag(self) -> float:
        return statistics.fmean(lag for writer in self.writers for lag in writer.lags)

    def p95_lag(self) -> float:
        lags = sorted(lag for writer in self.writers for lag in writer.lags)
        return lags[int(len(lags) * 0.95)]

    def first_words(self) -> float:
        return statistics.fmean(writer.changes[0] - writer.begins for writer in self.writers)

    def ended(self) -> float:
        return max(writer.done_at or float("inf") for writer in self.writers)

    # -- machinery -------------------------------------------------------------------------------------------------

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def _begin(self, writer: Writer) -> None:
        self.pace.join(writer.desire)
        for number in range(1, writer.words + 1):
            self._at(writer.begins + number / writer.rate, lambda: self._word(writer))

    def _word(self, writer: Writer) -> None:
        writer.arrived += 1
        writer.sent_at.append(self.now)
        if writer.arrived == writer.words:
            writer.desire.whole = True
        if writer.desire.since is None:
            writer.desire.since = self.now
        self._look()

    def _send(self, errand: Errand) -> None:
        self.pace.send(errand)
        self._look()

    def _look(self) -> None:
        for who, method in self.pace.grants(self.now):
            if isinstance(who, Errand):
                self._ask(method, who.channel)
                continue
            writer = next(w for w in self.writers if w.desire is who)
            self._call(writer, method)
        wake = self.pace.wake_at(self.now)
        if wake is not None and not self.now < self._next_look <= wake:
            self._next_look = wake
            self._at(wake, self._look_again)

    def _look_again(self) -> None:
        self._next_look = float("inf")
        self._look()

    def _call(self, writer: Writer, method: str) -> None:
        desire = writer.desire
        desire.busy, desire.written_at = True, self.now
        since, desire.since = desire.since, None
        shown, whole = writer.arrived, desire.whole
        ok = self._ask(method, writer.channel)
        if ok:
            self._at(self.now + self.round_trip / 2, lambda: self._visible(writer, shown))
        self._at(self.now + self.round_trip, lambda: self._answered(writer, method, ok, since, whole))

    def _ask(self, method: str, channel: str) -> bool:
        key = (method, channel if method in PER_CHANNEL else "")
        if key not in self._slack:
            rate = RATES[method].per_second
            burst = self.post_burst if method == POST else max(1.0, rate * 60 * self.burst)
            self._slack[key] = SlackBucket(rate, burst, burst, self.now)
        self.calls[method] += 1
        if self._slack[key].allows(self.now):
            return True
        self.refused[method] += 1
        self.pace.refused(method, channel, self.now, self._slack[key].retry_after())
        return False

    def _visible(self, writer: Writer, shown: int) -> None:
        if shown > writer.seen:
            writer.lags += [self.now - at for at in writer.sent_at[writer.seen : shown]]
            writer.seen = shown
            writer.changes.append(self.now)

    def _answered(self, writer: Writer, method: str, ok: bool, since: float | None, whole: bool) -> None:
        desire = writer.desire
        desire.busy = False
        if not ok:
            desire.since = since if since is not None else desire.since
        elif method == STOP or (method in (UPDATE, POST) and whole):
            writer.done_at = self.now
            self.pace.leave(desire)
            desire.busy = True
        elif method == START:
            desire.shown = Shown.NATIVE
        elif method == POST:
            desire.shown = Shown.EDIT
        self._look()


def storm(count: int, *, channels: int = 1, words: int = 200, rate: float = 40.0, **options: float) -> Simulation:
    """So many answers at the same moment, over so many channels."""
    simulation = Simulation(**options)  # type: ignore[arg-type]
    for number in range(count):
        simulation.add(Writer(f"C{number % channels}", 0.0, words, rate))
    simulation.run()
    return simulation


def floor(
    count: int, *, channels: int = 1, words: int = 200, rate: float = 40.0, burst: float = 0.2, post_burst: float = 3.0
) -> float:
    """The mean lag, in seconds, that no scheduler can go below with these budgets; calls take no time here.

    An answer is opened by a start or by a post, the k-th not before its budget lets it, and words that came earlier
    wait until then. A native stream lives on appends and stops alone, an edited message on updates alone, and needs at
    least one for its end; an answer that gets none is posted whole when the model has ended. What the budgets allow
    until then is spread evenly, which is best since the lag grows with the square of a gap. The best number of edited
    answers is taken.
    """
    length = words / rate
    starts = _openings(START, 60 * burst * RATES[START].per_second, count)
    natives = [at for at in starts if at < length]
    best = float("inf")
    for edits in range(int(_allowed(UPDATE, burst, length)) + 1):
        streams = natives[: max(0, count - edits)]
        rest = count - len(streams) - edits
        if rest < 0:
            continue
        posts = _openings(POST, post_burst, edits, lanes=channels)
        lags = [_least(at, length, (_allowed(APPEND, burst, length) + _allowed(STOP, burst, length)) / len(streams))
                for at in streams]  # fmt: skip
        lags += [_least(at, length, _allowed(UPDATE, burst, length) / edits) for at in posts]
        late = sorted(_openings(POST, post_burst, rest, lanes=channels) + [at - length for at in starts if at > length])
        lags += [at + length / 2 for at in late[:rest]]
        best = min(best, statistics.fmean(lags))
    return best


def _allowed(method: str, burst: float, seconds: float) -> float:
    return RATES[method].per_second * (60 * burst + seconds)


def _openings(method: str, burst: float, count: int, lanes: int = 1) -> list[float]:
    """When the first `count` calls of a method may be made, from a full bucket in each of `lanes` channels."""
    each = [max(0.0, (k + 1 - max(1.0, burst)) / RATES[method].per_second) for k in range(count)]
    return sorted(each * lanes)[:count]


def _least(opened: float, length: float, writes: float) -> float:
    """Mean lag of one answer that may be opened from `opened` on and then be written so many times more."""
    if opened >= length or writes <= 0:
        return max(opened, length) - length / 2
    first = max(opened, length / (writes + 1))
    return (first**2 / 2 + (length - first) ** 2 / (2 * writes)) / length


if __name__ == "__main__":
    print(f"{'storm':>22} {'mean':>6} {'p95':>6} {'first':>6} {'ended':>6} {'floor':>6} ratio calls, 429s")
    for burst in (0.2, 0.33):
        for channels in (1, 5, 50):
            for count in (1, 5, 20, 50):
                s = storm(count, channels=min(channels, count), burst=burst)
                least = floor(count, channels=min(channels, count), burst=burst)
                ratio = s.mean_lag() / least
                name = f"{count} in {min(channels, count)} ch, {burst}"
                print(
                    f"{name:>22} {s.mean_lag():6.2f} {s.p95_lag():6.2f} {s.first_words():6.2f} {s.ended():6.1f} {least:6.2f} {ratio:5.2f}",
                    {m.removeprefix('chat.'): n for m, n in s.calls.items()}, dict(s.refused),
                )  # fmt: skip
