"""What one answer, one event and one idle process cost: statements, calls to Slack, and commands of Redis.

    python -m tests.bench.costs [--seconds 30]

The whole product in one process with Redis; a statement is counted for every round trip to the database.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis
from pydantic import SecretStr
from sqlalchemy import event

from bot.timing import Timing
from tests import redis_service
from tests.handlers.world import World

REPEATS = 10
Action = Callable[[World, int], Awaitable[object]]


class Costs:
    """Counts what the bot asks of others."""

    def __init__(self, world: World, redis_url: str) -> None:
        self._world = world
        self._redis = redis.Redis.from_url(redis_url)
        self._statements = 0
        assert world.bot is not None
        for engine in world.bot.database.engines:
            event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._statements += 1

    def now(self) -> Counter[str]:
        stats = self._redis.info("commandstats")
        assert isinstance(stats, dict)
        commands = sum(
            each["calls"]
            for name, each in stats.items()
            if name not in ("cmdstat_info", "cmdstat_hello")
        )
        return Counter(
            statements=self._statements,
            slack=self._world.slack.journal.counts.total(),
            redis=commands,
        )


async def unrelated(world: World, number: int) -> None:
    """People talk in a channel where the bot is."""
    await world.slack.conversations.say("bob", "general", f"hello {number}")


async def started(world: World, number: int) -> None:
    """A mention, the menu, the choice, the answer and its title."""
    thread = await world.start(f"question {number}")
    await world.answered(thread)


async def continued(world: World, number: int) -> None:
    thread = world.chats()[0]["thread"]
    await world.slack.conversations.say("alice", "general", f"more {number}", thread)
    await world.answered(thread, number + 2)


async def nothing(world: World, _: int) -> None:
    await asyncio.sleep(3)


ACTIONS: dict[str, Action] = {
    "a chat begins": started,
    "a reply is answered": continued,
    "a message in no chat": unrelated,
    "three idle seconds": nothing,
}


async def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    service = redis_service.shared_redis()
    try:
        with tempfile.TemporaryDirectory() as folder:
            world = World(
                Path(folder), io.StringIO(), timing=Timing(), redis_url=SecretStr(service.url)
            )
            async with world:
                costs = Costs(world, service.url)
                print(f"{'':24}{'statements':>12}{'Slack calls':>13}{'Redis':>8}")
                for name, action in ACTIONS.items():
                    before = costs.now()
                    for number in range(REPEATS):
                        await action(world, number)
                        await world.idle()
                    spent = costs.now() - before
                    print(
                        f"{name:24}{spent['statements'] / REPEATS:12.1f}{spent['slack'] / REPEATS:13.1f}"
                        f"{spent['redis'] / REPEATS:8.1f}",
                        flush=True,
                    )
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
