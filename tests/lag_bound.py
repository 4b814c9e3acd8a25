"""A lower bound for the mean lag of simultaneous answers under any scheduler; docs/benchmarks.md derives it."""

from __future__ import annotations

from collections.abc import Sequence

from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, STOP, UPDATE


def min_mean_lag(
    count: int,
    *,
    channels: int = 1,
    words: int = 200,
    rate: float = 40.0,
    burst: float = 0.2,
    post_burst: float = 3.0,
) -> float:
    """Returns a mean lag, in seconds, that no scheduler can beat within these rate limits, if calls took no time.

    An answer is opened by a start or by a post. A stream then lives on appends and its stop, an edited message on
    updates; or it is held and opened when the model has ended, whole. The best division of the answers among the two
    ways is taken. Words come one by one: half the time between two of them is no lag.
    """
    length = words / rate
    start_burst = 60 * burst * RATES[START].per_second
    streams = _least_lags(
        _openings(START, start_burst, count), length, *_allowance(burst, APPEND, STOP)
    )
    edits = _least_lags(
        _openings(POST, post_burst, count, channels), length, *_allowance(burst, UPDATE)
    )
    total = min(streams[natives] + edits[count - natives] for natives in range(count + 1))
    return max(0.0, total / count / length - 0.5 / rate)


def steady_mean_lag(per_minute: int, length: float) -> float:
    """Returns the mean lag, in seconds, if answers of `length` seconds keep coming and share all calls evenly.

    No bound, but what the rate limits come to: of `streams` a minute each is written at its start, its appends and its
    stop; the others are posted and then share the updates. The best division among the two ways is taken.
    """
    most = min(per_minute, round(60 * RATES[START].per_second))
    return min(_shared_lag(per_minute, streams, length) for streams in range(1, most + 1))


def _shared_lag(per_minute: int, streams: int, length: float) -> float:
    """An answer that is written every `gap` seconds has a mean lag of half of that."""
    stream_gap = length * streams / (60 * (RATES[APPEND].per_second + RATES[STOP].per_second))
    edits = per_minute - streams
    edit_gap = length / (1 + 60 * RATES[UPDATE].per_second / edits) if edits else 0.0
    return (streams * stream_gap + edits * edit_gap) / per_minute / 2


def _openings(method: str, burst: float, count: int, lanes: int = 1) -> list[float]:
    """When the first `count` calls of a method may be made, from a full bucket in each of `lanes` channels."""
    each = [max(0.0, (k + 1 - max(1.0, burst)) / RATES[method].per_second) for k in range(count)]
    return sorted(each * lanes)[:count]


def _allowance(burst: float, *methods: str) -> tuple[float, float]:
    """Calls at once, and calls a second."""
    rate = sum(RATES[method].per_second for method in methods)
    return 60 * burst * rate, rate


def _least_lags(openings: Sequence[float], length: float, burst: float, rate: float) -> list[float]:
    """For 0, 1, 2, … answers of one kind: seconds of lag, times `length`, that they have at least.

    Some are opened early, the others when the model has ended; these cannot come quicker than from a full bucket at
    that moment, nor before the rate limit has allowed all earlier ones.
    """
    early = _least_live_lags([at for at in openings if at < length], length, burst, rate)
    least = [0.0]
    for number in range(1, len(openings) + 1):
        least.append(
            min(
                early[opened] + sum(_shown_whole(max(length + openings[k], openings[opened + k]), length)
                for k in range(number - opened))
                for opened in range(min(number, len(early) - 1) + 1)
            )
        )  # fmt: skip
    return least


def _shown_whole(shown: float, length: float) -> float:
    """The lag of an answer that is shown at once, when the model has ended."""
    return length * shown - length**2 / 2


def _least_live_lags(
    openings: Sequence[float], length: float, burst: float, rate: float
) -> list[float]:
    """For the first 0, 1, 2, … of these openings: the lag of answers that are opened then or later and share a
    rate limit.

    Lagrange's bound: give each write a price and let every answer minimise lag plus price alone; minus what the rate
    limit is worth at that price, this is never above the true minimum, whatever the price. The price is g²/2 (then
    answers choose intervals of g seconds) until the model's end, falling to nothing `late` seconds after it. The best
    of many prices is taken for each number of answers.
    """
    best = [0.0] * (len(openings) + 1)
    for late in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0):
        for step in range(60):
            interval = 0.04 * length * 1.07**step
            total = -(interval**2) / 2 * (burst + rate * (length + late / 2))
            for number, opened in enumerate(openings, 1):
                total += _single_answer(opened, length, interval, late)
                best[number] = max(best[number], total)
    return best


def _single_answer(opened: float, length: float, interval: float, late: float) -> float:
    """The least lag plus price of one answer opened at `opened` or later. It ends either together with the model, at
    full price, or `late` after it, at no price. A moment in between is never better, since lag and price change
    linearly with it.
    """
    at_end = _with_best_interval(opened, length, interval)
    afterwards = (
        _with_best_interval(opened, length + late, interval) - late**2 / 2 - interval**2 / 2
    )
    return min(at_end, afterwards)


def _with_best_interval(opened: float, length: float, interval: float) -> float:
    """Lag and price with the best number of writes."""
    many = max(1.0, (length - max(opened, interval)) / interval)
    return min(
        _with_writes(opened, length, writes) + writes * interval**2 / 2
        for writes in (int(many), int(many) + 1)
    )


def _with_writes(opened: float, length: float, writes: int) -> float:
    """The lag with so many writes, evenly spread, after the first words."""
    first = max(opened, length / (writes + 1))
    return first**2 / 2 + (length - first) ** 2 / (2 * writes)
