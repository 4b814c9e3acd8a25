"""Redis stops responding, or another process locks the database file, while answers are written: all continue, each
once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from pydantic import SecretStr

from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.tcp_proxy import Mute, TcpProxy
from tests.handlers.world import World
from tests.slow import slow_after

LONG = " ".join(f"w{n:03}" for n in range(60))


async def begin(world: World) -> str:
    """A chat whose first answer is being written, while the next question waits."""
    world.reply_to({"Say it all.": LONG, "And more.": LONG}, rate=40)
    thread = await world.start("Say it all.")
    await world.until(lambda: world.answers(thread), "the first words")
    await world.slack.conversations.say("alice", "general", "And more.", thread)
    await world.until(lambda: len(world.messages(thread)) == 4, "the question is stored")
    return thread


async def end(world: World, thread: str) -> None:
    assert await world.answered(thread, 2) == [LONG, LONG]
    await world.idle()
    assert [row["status"] for row in world.ended(thread)] == ["done", "done"]
    assert len(world.messages(thread)) == 4


@pytest.mark.redis
@pytest.mark.parametrize("held", slow_after(1, [Mute.BOTH, Mute.RESPONSES]))
async def test_answers_continue_when_redis_stops_responding(
    worlds: WorldFactory, redis_url: str, held: Mute
) -> None:
    timing = patient_timing(redis_timeout=1.0)  # each call in progress waits for it
    async with (
        TcpProxy(redis_url) as proxy,
        worlds(redis_url=SecretStr(proxy.url), timing=timing) as world,
    ):
        thread = await begin(world)
        proxy.mute(held)
        await end(world, thread)
        proxy.mute(Mute.NOTHING)


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another process writes into the database, and takes its time."""
    with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_answers_continue_after_another_process_has_locked_the_file(
    worlds: WorldFactory,
) -> None:
    timing = patient_timing(database_statement_timeout=1.5, database_lease_timeout=1.5)
    async with worlds(timing=timing) as world:
        thread = await begin(world)
        with locked(world):
            await world.until(
                lambda: any("locked" in str(line) for line in world.lines()), "it is noticed"
            )
        await end(world, thread)
