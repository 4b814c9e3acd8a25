"""`MemoryBudget`: however large objects take turns, they stay within the limit, and every one of them finishes."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.runtime.memory import MemoryBudget
from tests.deadlines import WAIT_TIMEOUT

LIMIT = 1_000
LARGEST = 400


async def download(memory: MemoryBudget, chunks: list[int], seen: list[int]) -> None:
    with memory.reserve() as reservation:
        for chunk in chunks:
            await reservation.add(chunk)
            seen.append(memory.used)
            await asyncio.sleep(0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 100), max_size=4), max_size=30), st.randoms())
def test_downloads_stay_within_the_limit_and_all_end(
    files: list[list[int]], chance: random.Random
) -> None:
    async def run() -> None:
        memory, seen = MemoryBudget(LIMIT), [0]
        chance.shuffle(files)
        async with asyncio.timeout(WAIT_TIMEOUT):
            await asyncio.gather(*(download(memory, chunks, seen) for chunks in files))
        assert max(seen) <= LIMIT + LARGEST
        assert memory.used == 0

    asyncio.run(run())


async def test_halves_of_many_files_do_not_wait_for_one_another() -> None:
    memory = MemoryBudget(LIMIT)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(download(memory, [100] * 4, []) for _ in range(20)))
    assert memory.used == 0


async def test_a_download_that_waits_for_its_server_delays_nobody() -> None:
    memory = MemoryBudget(LIMIT)
    with memory.reserve() as stalled:
        await stalled.add(300)
        async with asyncio.timeout(WAIT_TIMEOUT):
            await asyncio.gather(*(download(memory, [100] * 4, []) for _ in range(5)))
        assert memory.used == 300


async def test_a_cancelled_wait_holds_nothing() -> None:
    memory = MemoryBudget(LIMIT)
    with memory.reserve() as full, memory.reserve() as beyond:
        await full.add(LIMIT)
        await beyond.add(1)
        gone = asyncio.create_task(download(memory, [1], []))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert memory.used == LIMIT + 1
    assert memory.used == 0


async def test_workspaces_do_not_wait_for_each_other() -> None:
    memory = MemoryBudget(LIMIT, own_limit=LIMIT // 2)
    with memory.reserve("T1") as full, memory.reserve("T1") as beyond:
        await full.add(LIMIT // 2)
        await beyond.add(1)
        async with asyncio.timeout(WAIT_TIMEOUT):
            with memory.reserve("T2") as other:
                await other.add(LIMIT // 4)
