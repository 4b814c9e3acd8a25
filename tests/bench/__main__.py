"""`make bench`: storms of answers against the whole product, and a mixed hour in simulated time, as a table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys

from tests.bench.environment import Deployment, script
from tests.bench.measure import Outcome, storm
from tests.lag_bound import min_mean_lag
from tests.simulation import mixed_hour

LIMIT = 600.0
"""Seconds that the whole run may take."""
STORMS = ((1, 1), (5, 1), (5, 5), (20, 1), (20, 5), (20, 20), (50, 1), (50, 5), (50, 50))
"""Answers, and channels over which they are spread."""
WORDS, RATE = 200, 40.0
MANY, MANY_RATE = 200, 4.0
"""Answers that stream at once for the memory, each slow: what is measured is how much they hold, not how fast."""

START = 1.5
"""Seconds that a start may take."""

PLAIN_STORMS = ((1, 1), (5, 5), (20, 5))
PLAIN_PATIENCE = 45.0
"""Seconds for which a plain bot's storm is watched, since it would take minutes."""

HEAD = (
    f"{'storm':<20} {'whole':>7} {'mean':>6} {'p95':>6} {'first':>6} {'median':>6} {'gap':>5} {'ended':>6} "
    f"{'floor':>6} {'ratio':>5} {'429s':>4} {'CPU':>5} {'MB':>5}  calls"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", type=int, nargs="*", help="storms of these sizes, nothing else")
    options = parser.parse_args()
    return asyncio.run(_bounded(options.only))


async def _bounded(only: list[int] | None) -> int:
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {_processor()}"
    )
    try:
        async with asyncio.timeout(LIMIT):
            missed = await _storms(only)
            if only is None:
                missed += await _memory()
                await _plain()
    except TimeoutError:
        print(f"not done within {LIMIT:.0f} s")
        return 1
    if only is None:
        _hour()
    print("\n".join(["", *missed]) if missed else "\nevery target is met")
    return bool(missed)


async def _storms(only: list[int] | None) -> list[str]:
    print(
        f"\nStorms: answers of {WORDS} words at {RATE:.0f} a second, all asked at once; times in seconds\n{HEAD}"
    )
    missed, starts = [], []
    for count, channels in STORMS:
        if only and count not in only:
            continue
        outcome = await storm(count, channels, script(WORDS, RATE))
        least = min_mean_lag(count, channels=channels, words=WORDS, rate=RATE)
        _row(count, channels, outcome, least)
        missed += [
            f"missed in {count} over {channels}: {what}"
            for what in _misses(count, channels, outcome, least)
        ]
        starts.append(outcome.start)
    usual = statistics.median(starts)
    print(
        f"\nStart to connected, {len(starts)} times: {min(starts):.2f} to {max(starts):.2f} s, mostly {usual:.2f} s"
    )
    return missed + ([f"missed in the start: more than {START} s"] if usual > START else [])


def _misses(count: int, channels: int, outcome: Outcome, least: float) -> list[str]:
    """The targets that this storm missed."""
    first = outcome.first_words()
    wrong = {
        "not every answer was whole": outcome.complete < count,
        "calls were refused": outcome.refused > 0,
        "the mean lag is above 1.5 floors": count >= 20 and outcome.mean_lag() > 1.5 * least,
        "first words came after 0.15 s": count == 1 and statistics.median(first) > 0.15,
        "half of the first words came after 1.5 s": count == 20
        and channels > 1
        and statistics.median(first) > 1.5,
        "the mean lag is above 0.25 s": count == 1 and outcome.mean_lag() > 0.25,
        "a gap is above 0.6 s": count == 1 and outcome.largest_gap() > 0.6,
        "1,000 words took more than 0.15 s of processor": count == 20 and outcome.cpu > 0.15,
    }
    return [what for what, is_wrong in wrong.items() if is_wrong]


async def _memory() -> list[str]:
    print(
        f"\nMemory: {MANY} answers of {WORDS // 2} words at {MANY_RATE:.0f} a second, over {MANY} channels\n{HEAD}"
    )
    outcome = await storm(MANY, MANY, script(WORDS // 2, MANY_RATE))
    _row(MANY, MANY, outcome, min_mean_lag(MANY, channels=MANY, words=WORDS // 2, rate=MANY_RATE))
    print(f"  resident before: {outcome.quiet_megabytes:.0f} MB")
    missed = ["missed in memory: not every answer was whole"] if outcome.complete < MANY else []
    return missed + (["missed in memory: more than 150 MB"] if outcome.megabytes > 150 else [])


async def _plain() -> None:
    """The same storms for a bot that edits after every twentieth piece; it has no targets."""
    print(
        f"\nA plain bot, which edits after every twentieth piece; watched for {PLAIN_PATIENCE:.0f} s\n{HEAD}"
    )
    for count, channels in PLAIN_STORMS:
        outcome = await storm(
            count, channels, script(WORDS, RATE), Deployment(plain=True), PLAIN_PATIENCE
        )
        _row(
            count, channels, outcome, min_mean_lag(count, channels=channels, words=WORDS, rate=RATE)
        )


def _row(count: int, channels: int, outcome: Outcome, least: float) -> None:
    name = f"{count} in {channels} channel{'s' * (channels > 1)}"
    first = outcome.first_words()
    ratio = f"{outcome.mean_lag() / least:.2f}" if count > 1 else "-"
    calls = ", ".join(
        f"{name.removeprefix('chat.')} {n}" for name, n in outcome.calls.most_common()
    )
    print(
        f"{name:<20} {outcome.complete:>3}/{count:<3} {outcome.mean_lag():6.2f} {outcome.p95_lag():6.2f} "
        f"{statistics.fmean(first):6.2f} {statistics.median(first):6.2f} {outcome.largest_gap():5.2f} "
        f"{outcome.seconds:6.1f} {least:6.2f} {ratio:>5} {outcome.refused:4d} "
        f"{outcome.cpu:5.2f} {outcome.megabytes:5.0f}  {calls}",
        flush=True,
    )


def _hour() -> None:
    print(
        "\nA mixed hour in simulated time: 20 to 2,000 words at 10 to 100 a second, streams and edits, with other calls"
    )
    print(
        f"{'a minute':<20} {'whole':>9} {'mean':>6} {'p95':>6} {'first':>6} {'429s':>4}  longest other call"
    )
    for a_minute in (1.0, 4.0, 8.0):
        hour = mixed_hour(a_minute=a_minute)
        whole = f"{hour.completed()}/{len(hour.writers)}"
        print(
            f"{a_minute:<20.0f} {whole:>9} {hour.mean_lag():6.2f} {hour.p95_lag():6.2f} {hour.first_words():6.2f} "
            f"{sum(hour.rate_limited.values()):4d}  {max(hour.queued_call_waits):.1f} s"
        )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(
                line.partition(":")[2].strip() for line in info if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
