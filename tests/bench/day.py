"""A workday's load: 20, 60 and 120 questions a minute in ten channels, a third of them while an answer runs.

    python -m tests.bench.day [--only 60] [--minutes 1] [--length 3 7] [--hang [METHOD …]]

Twenty people start chats and go on in them; answers take the model 3 to 7 seconds, on average as long as those of
the storms. Then the same at 60 a minute while each Slack method hangs in turn, but those that carry text: for 20
seconds all calls of one method get no response. `--hang` runs that part alone, with these methods.

Time to the model counts from the question, or from the moment when the answer before it stood in the thread. `even` is
the mean lag if the answers shared all calls of Slack's rate limits evenly: the longer the answers, the longer the lag.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.sandbox.journal import CallRecord
from tests.bench.environment import Environment, open_environment
from tests.bench.workday import (
    CHANNELS,
    CHATS,
    PEOPLE,
    Answered,
    Lengths,
    Workday,
    answering,
    waits,
)
from tests.lag_bound import steady_mean_lag

RATES = (20, 60, 120)
"""Questions a minute."""
HANGING_RATE = 60
HANG_SECONDS = 20.0
SEED = 14
TO_MODEL, LAG, EVEN = 0.2, 1.0, 1.25
"""Targets: seconds until the model is asked (p95), and the mean lag at 60 a minute, or how many times the even one."""
HANGING = (
    "agents.sessions.rename",
    "agents.sessions.setStatus",
    "assistant.threads.setStatus",
    "conversations.replies",
    "reactions.add",
    "reactions.remove",
    "users.info",
)
"""What this load calls besides the methods that carry text."""
HEAD = (
    f"{'a minute':<28} {'whole':>9} | {'asked p50':>9} {'p95':>6} {'max':>6} "
    f"| {'queued p50':>10} {'p95':>6} {'max':>6} | {'lag':>5} {'p95':>5} {'even':>5} "
    f"| {'menu p50':>8} {'max':>5} | {'429s':>4} {'other':>5} {'load':>5}"
)


@dataclass(frozen=True)
class Turn:
    """A method, and from when to when its calls hung."""

    method: str
    began_at: float
    ended_at: float


@dataclass(frozen=True)
class Outcome:
    answers: list[Answered]
    menu_waits: list[float]
    calls: list[CallRecord]
    load: float
    """Of the machine, at the end."""
    turns: list[Turn]

    @property
    def refused(self) -> int:
        return sum(call.error == "ratelimited" for call in self.calls)

    @property
    def other_refusals(self) -> Counter[str]:
        """Slack's own refusals other than rate limits; that a thread has no agent session is no fault."""
        return Counter(
            f"{call.method}: {call.error}"
            for call in self.calls
            if call.error not in (None, "ratelimited", "session_not_found") and not call.injected
        )

    @property
    def whole(self) -> int:
        return sum(each.seen.complete for each in self.answers)

    @property
    def lags(self) -> list[float]:
        return sorted(lag for each in self.answers for lag in each.seen.lags)


async def measure(
    per_minute: float, minutes: float, lengths: Lengths, hanging: Sequence[str] = ()
) -> Outcome:
    """One part of the day; `hanging`: methods that hang in turn, again and again."""
    async with open_environment(CHATS, CHANNELS, answering(lengths), people=PEOPLE) as environment:
        before = len(environment.slack.calls)
        day = Workday(environment, random.Random(SEED), lengths)
        async with _hanging_in_turn(environment, hanging) as turns:
            await day.run(per_minute, minutes * 60)
        calls = list(environment.slack.calls)[before:]
        return Outcome(day.answers(), day.menu_waits, calls, os.getloadavg()[0], turns)


@asynccontextmanager
async def _hanging_in_turn(
    environment: Environment, methods: Sequence[str]
) -> AsyncIterator[list[Turn]]:
    """Yields a list that grows by each turn that has ended."""
    turns: list[Turn] = []
    faults, clock = environment.slack.faults, environment.slack.workspace.clock

    async def take_turns() -> None:
        for method in itertools.cycle(methods):
            fault, began_at = faults.add(method, "hang", times=-1, seconds=HANG_SECONDS), clock()
            await asyncio.sleep(HANG_SECONDS)
            faults.pending.remove(fault)
            turns.append(Turn(method, began_at, clock()))

    task = asyncio.create_task(take_turns())
    try:
        yield turns
    finally:
        task.cancel()
        faults.clear()


def _row(name: str, outcome: Outcome, even: float) -> list[str]:
    found = waits(outcome.answers)
    direct = [wait.seconds for wait in found if not wait.queued]
    queued = [wait.seconds for wait in found if wait.queued]
    lags = outcome.lags
    print(
        f"{name:<28} {outcome.whole:>4}/{len(outcome.answers):<4} | {_at(direct, 0.5):9.2f} {_at(direct, 0.95):6.2f} "
        f"{_at(direct, 1):6.2f} | {_at(queued, 0.5):10.2f} {_at(queued, 0.95):6.2f} {_at(queued, 1):6.2f} | "
        f"{statistics.fmean(lags):5.2f} {_at(lags, 0.95):5.2f} {even:5.2f} | {_at(outcome.menu_waits, 0.5):8.2f} "
        f"{_at(outcome.menu_waits, 1):5.2f} | {outcome.refused:4d} {sum(outcome.other_refusals.values()):5d} "
        f"{outcome.load:5.1f}",
        flush=True,
    )
    for turn in outcome.turns:
        within = [w.seconds for w in found if turn.began_at <= w.since < turn.ended_at]
        print(
            f"  while {turn.method} hung: {len(within)} asked, at worst after {_at(within, 1):.2f} s"
        )
    for refusal, times in outcome.other_refusals.most_common():
        print(f"  refused {times} times: {refusal}")
    wrong = {
        "not every answer was whole": outcome.whole < len(outcome.answers),
        "calls were refused": outcome.refused > 0,
        f"the model was asked after more than {TO_MODEL} s": max(
            _at(direct, 0.95), _at(queued, 0.95)
        )
        > TO_MODEL,
        f"the mean lag is above {LAG} s, and {EVEN} times the even one": name == "60"
        and statistics.fmean(lags) > max(LAG, EVEN * even),
    }
    return [f"missed at {name}: {what}" for what, is_wrong in wrong.items() if is_wrong]


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values) or [float("nan")]
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=int, nargs="*", help="questions a minute, without the part that hangs"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of each rate")
    parser.add_argument(
        "--hang", nargs="*", metavar="METHOD", help="only this: these methods hang in turn"
    )
    parser.add_argument(
        "--length", type=float, nargs=2, default=(3.0, 7.0), help="seconds of an answer"
    )
    given = parser.parse_args()
    lengths = Lengths(*given.length)
    print(HEAD)
    missed: list[str] = []
    if given.hang is None:
        for rate in given.only or RATES:
            outcome = await measure(rate, given.minutes, lengths)
            missed += _row(f"{rate}", outcome, steady_mean_lag(rate, lengths.mean))
    if given.only is None:
        hanging = given.hang or HANGING
        minutes = len(hanging) * HANG_SECONDS / 60 if given.hang is None else given.minutes
        name = f"{HANGING_RATE}, hanging: {hanging[0] if len(hanging) == 1 else len(hanging)}"
        outcome = await measure(HANGING_RATE, minutes, lengths, hanging)
        missed += _row(name, outcome, steady_mean_lag(HANGING_RATE, lengths.mean))
    print("\n".join(["", *missed]) if missed else "\nevery target is met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
