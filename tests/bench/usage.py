"""What a budget adds to storing a message, and a person's usage among a million calls beside one among a thousand.

    python -m tests.bench.usage [--calls 1000000] [--rounds 300] [--url postgresql://…]

SQLite in a file, or the given empty PostgreSQL database. What is compared runs in turn, so that whatever else the
machine does strikes both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text

from bot.chats.usage import UsageService
from bot.domain import ModelRef, Thread, User
from bot.usage.limits import Budget, Limits, MessageRate, Period, Scope, Unit
from storage.chats import Chats
from storage.engine.database import Database
from storage.ledger import Ledger
from storage.messages import NewMessage
from storage.tables import ledger, usage_days

SMALL = 1_000
PER_PERSON = 1_000
MOST_ADDED, FLAT = 1.0, 1.3
"""Milliseconds; a factor."""
MODEL = ModelRef("openrouter", "meta/llama-3")
BATCH = 5_000
NO_LIMITS = Limits()
ONE_BUDGET = Limits((Budget(Scope.USER, 1e12, Unit.TOKENS, Period.MONTH),))
ALL_LIMITS = Limits(
    tuple(Budget(scope, 1e12, Unit.TOKENS, Period.MONTH) for scope in Scope),
    MessageRate(10**6, Period.HOUR),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.usage", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--url", default="sqlite://")
    options = parser.parse_args()
    return asyncio.run(_run(options.url, options.calls, options.rounds))


async def _run(url: str, calls: int, rounds: int) -> int:
    database = Database.open(url)
    try:
        await database.migrate()
        await _fill(database, "T0SMALL", SMALL)
        await _fill(database, "T0BIG", calls)
        async with database.begin() as connection:
            await connection.execute(text("ANALYZE"))
        added = await _added_by_limits(database, rounds)
        ratio = await _growth(database, rounds)
    finally:
        await database.close()
    return int(added > MOST_ADDED or ratio > FLAT)


async def _fill(database: Database, team: str, calls: int) -> None:
    """So many calls, a thousand of each person, over the last month."""
    begin, end = datetime.now(UTC) - timedelta(days=27), datetime.now(UTC)
    for first in range(0, calls, BATCH):
        rows = [
            {
                "id": f"{team}{number:0>20}",
                "at": begin + (end - begin) * (number / calls),
                "team": team,
                "user": f"U{number % max(1, calls // PER_PERSON)}",
                "channel": f"C{number % 7}",
                "kind": "answer",
                "provider": "openrouter",
                "model": f"model{number % 3}",
                "outcome": "done",
                "prompt_tokens": 900,
                "completion_tokens": 100,
                "cached_tokens": 0,
                "cost": 0.001,
                "seconds": 2.0,
            }
            for number in range(first, min(first + BATCH, calls))
        ]
        async with database.begin() as connection:
            await connection.execute(insert(ledger), rows)
    await _add_up(database, team)


async def _add_up(database: Database, team: str) -> None:
    day = "substr(CAST(at AS TEXT), 1, 10)"
    names = ", ".join(f'"{column.name}"' for column in usage_days.columns)
    async with database.begin() as connection:
        await connection.execute(
            text(
                f"INSERT INTO usage_days ({names}) SELECT team, \"user\", {day}, channel, provider || ':' || model, "
                "count(*), 0, count(*), 0, 0, sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), "
                "sum(cost) "
                f'FROM ledger WHERE team = :team GROUP BY team, "user", {day}, channel, provider, model'
            ),
            {"team": team},
        )


async def _added_by_limits(database: Database, rounds: int) -> float:
    """Milliseconds that a budget adds to storing a message, in the median."""

    turns = itertools.count()

    def storing(limits: Limits) -> Callable[[int], Awaitable[object]]:
        chats, name = Chats(database, limits=limits), f"{len(tuple(limits))} of {next(turns)}: "

        async def store(number: int) -> object:
            place = f"{name}{number}"
            return await chats.start(
                team="T0BIG",
                owner="U1",
                model=MODEL,
                thread=Thread("T0BIG", "C1", place),
                message=NewMessage("hello", "U1", source=place),
            )

        return store

    added = []
    for limits in (ALL_LIMITS, ONE_BUDGET):
        with_, without = await _medians(storing(limits), storing(NO_LIMITS), rounds)
        added.append(with_ - without)
        print(
            f"storing a message: {without:.2f} ms, with limits ({len(tuple(limits))}) {with_:.2f} ms"
        )
    return added[-1]


async def _growth(database: Database, rounds: int) -> float:
    usage = UsageService(Ledger(database), is_admin)
    big, small = await _medians(
        lambda _: usage.overview(User("T0BIG", "U0")),
        lambda _: usage.overview(User("T0SMALL", "U0")),
        rounds,
    )
    print(f"/chats usage: {small:.2f} ms among a thousand calls, {big:.2f} ms among all")
    return big / small


async def is_admin(_: User) -> bool:
    return False


async def _medians(
    one: Callable[[int], Awaitable[object]], other: Callable[[int], Awaitable[object]], rounds: int
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = [], []
    for number in range(rounds):
        for work, taken in zip((one, other), times, strict=True):
            began = time.perf_counter()
            await work(number)
            taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[0]), 1000 * statistics.median(times[1])


if __name__ == "__main__":
    sys.exit(main())
