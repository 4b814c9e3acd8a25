"""A lower bound for the mean lag of a steady load if nobody knows when an answer will end.

    python -m tests.online_lag_bound

Lagrange's bound, as in `tests/lag_bound.py`: each kind of call gets a price, each answer alone minimises its expected
lag plus what it pays, and what the rate limits are worth at these prices is subtracted. Whatever the prices, no
scheduler is better. It may know each answer's speed from its first word and how long answers take in general (evenly
between `LEAST` and `MOST` seconds), but not how long this one takes. Calls take no time, and the load never fluctuates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from handlers.rate_limits.slack_rates import APPEND, RATES, START, UPDATE
from handlers.rate_limits.token_bucket import RATE_MARGIN

LEAST, MOST = 3.0, 7.0
"""Seconds that an answer's text takes."""
SPEEDS = tuple(range(20, 41))
"""Words a second."""
STEP = 0.1
"""Seconds between the moments at which an answer may be written."""
_PRICES = (0.0, *(0.05 * 1.06**step for step in range(100)))
"""In seconds² at one word a second: an answer of v words a second that pays v times as much writes as often."""


class Prices(NamedTuple):
    """Of one call, in words times seconds."""

    edit: float = 60.0
    append: float = 15.0
    start: float = 120.0


def online_mean_lag(per_minute: int, minutes: float = 3.0, *, bursts: bool = True) -> float:
    """Returns the mean lag, in seconds, that no scheduler can beat; `bursts`: the buckets are full at the start."""
    edited, streamed = _least_costs(streamed=False), _least_costs(streamed=True)
    answers = per_minute * minutes
    edits, appends, starts = (
        RATES[method].burst * bursts
        + RATES[method].per_second * RATE_MARGIN * (60 * minutes + MOST)
        for method in (UPDATE, APPEND, START)
    )

    def least_lag(prices: Prices) -> float:
        costs = [
            min(
                speed * _at(edited, prices.edit / speed),
                speed * _at(streamed, prices.append / speed) + prices.start,
            )
            for speed in SPEEDS
        ]
        worth = prices.edit * edits + prices.append * appends + prices.start * starts
        return sum(costs) / len(costs) * answers - worth

    words = sum(SPEEDS) / len(SPEEDS) * (LEAST + MOST) / 2 * answers
    return max(0.0, _highest(least_lag) / words)


def _highest(least_lag: Callable[[Prices], float]) -> float:
    """The best bound that is found by changing one price at a time."""
    best, prices, factor = least_lag(Prices()), Prices(), 2.0
    while factor > 1.005:
        tried = [
            prices._replace(**{name: getattr(prices, name) * by})
            for name in Prices._fields
            for by in (factor, 1 / factor)
        ]
        found = max(tried, key=least_lag)
        if least_lag(found) > best:
            best, prices = least_lag(found), found
        else:
            factor **= 0.5
    return best


def _least_costs(*, streamed: bool) -> list[float]:
    """For each of `_PRICES`: the least expected lag plus price of one answer at one word a second."""
    return [_least_cost(price, streamed=streamed) for price in _PRICES]


def _least_cost(price: float, *, streamed: bool) -> float:
    """By induction from the end. An answer is written at `MOST` at the latest; its end costs an edit, if it was
    opened before, and of a stream nothing, since each start has its stop.
    """
    moments = round(MOST / STEP)
    end = 0.0 if streamed else price
    opened = [end] * (moments + 1)
    """What is still to come, by the moment of the last write."""
    hidden = 0.0
    for now in reversed(range(moments)):
        ends = _share_ending(now)
        waited = [(now + 0.5 - last) * STEP for last in range(now + 1)]
        later = [
            waited[last] * STEP * (1 - ends / 2) + ends * end + (1 - ends) * opened[last]
            for last in range(now + 1)
        ]
        hidden = min(waited[0] * STEP * (1 - ends / 2) + (1 - ends) * hidden, later[now])
        opened = [min(cost, price + later[now]) for cost in later]
    return opened[0] if streamed else hidden


def _share_ending(now: int) -> float:
    """The share of the answers still written at this moment that end before the next."""
    left, then = (min(1.0, (MOST - at * STEP) / (MOST - LEAST)) for at in (now, now + 1))
    return 1.0 - max(0.0, then) / left


def _at(costs: Sequence[float], price: float) -> float:
    """Between two prices the least cost is at least this, since it is a concave function of the price."""
    above = min(max(1, bisect_left(_PRICES, price)), len(_PRICES) - 1)
    low, high = _PRICES[above - 1], _PRICES[above]
    share = min(1.0, (price - low) / (high - low))
    return costs[above - 1] + share * (costs[above] - costs[above - 1])


if __name__ == "__main__":
    for a_minute in (20, 30, 40, 50, 60, 80, 120):
        print(
            f"{a_minute:4d} a minute: {online_mean_lag(a_minute):.2f} s, "
            f"without bursts {online_mean_lag(a_minute, bursts=False):.2f} s"
        )
