"""Background tasks, loops and keyed locks."""

from __future__ import annotations

import asyncio
import gc

import pytest

from bot.errors import StorageError
from bot.runtime.tasks import KeyedLocks, Tasks

SOON = 0.001


async def test_repeat_runs_work_again_after_each_interval() -> None:
    runs = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            enough.set()

    async with Tasks() as tasks:
        tasks.repeat(work, SOON, "counting")
        await asyncio.wait_for(enough.wait(), 5)


async def test_repeat_continues_after_a_failure_and_logs_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    failures = [StorageError("the database is away"), ValueError("a defect")]
    enough = asyncio.Event()

    async def work() -> None:
        if failures:
            raise failures.pop(0)
        enough.set()

    async with Tasks() as tasks:
        tasks.repeat(work, SOON, "failing")
        await asyncio.wait_for(enough.wait(), 5)
    logged = capsys.readouterr().out + caplog.text
    assert "storage_unreachable" in logged
    assert "the database is away" in logged
    assert "task_failed" in logged
    assert "a defect" in logged


async def test_repeat_is_woken_during_its_pause() -> None:
    wake = asyncio.Event()
    runs: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        runs.put_nowait(None)

    async with Tasks() as tasks:
        tasks.repeat(work, 3600, "woken", wake=wake)
        for _ in range(3):
            await asyncio.wait_for(runs.get(), 5)
            wake.set()


async def test_repeat_asks_for_the_interval_after_each_run() -> None:
    intervals = [SOON, SOON, 3600.0]
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    async with Tasks() as tasks:
        tasks.repeat(work, lambda: intervals.pop(0), "changing")
        while intervals:
            await asyncio.sleep(SOON)
        await asyncio.sleep(20 * SOON)
    assert runs == 3


async def test_repeat_waits_for_the_initial_delay_before_the_first_run() -> None:
    ran = asyncio.Event()

    async def work() -> None:
        ran.set()

    async with Tasks() as tasks:
        tasks.repeat(work, 3600, "delayed", initial_delay=0.05)
        await asyncio.sleep(0)
        assert not ran.is_set()
        await asyncio.wait_for(ran.wait(), 5)


async def test_leaving_cancels_loops_at_once_and_waits_for_other_tasks() -> None:
    finished = asyncio.Event()

    async def finish() -> None:
        await asyncio.sleep(0.05)
        finished.set()

    async def never() -> None:
        await asyncio.Event().wait()

    started = asyncio.get_running_loop().time()
    async with Tasks(exit_timeout=60) as tasks:
        loop = tasks.repeat(never, 1, "loop")
        tasks.start(finish(), "work")
    assert finished.is_set()
    assert loop.cancelled()
    assert asyncio.get_running_loop().time() - started < 30


async def test_leaving_cancels_tasks_that_outlast_the_exit_timeout() -> None:
    async with Tasks(exit_timeout=0.01) as tasks:
        stuck = tasks.start(asyncio.Event().wait(), "stuck")
    assert stuck.cancelled()


async def test_a_failed_task_is_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError("a defect")

    async with Tasks() as tasks:
        tasks.start(fail(), "failing")
    logged = capsys.readouterr().out + caplog.text
    assert "task_failed" in logged
    assert "a defect" in logged


async def test_keyed_locks_exclude_users_of_the_same_key_only() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    async with locks["a"]:
        assert locks["a"].locked()
        assert not locks["b"].locked()
    assert not locks["a"].locked()


async def test_keyed_locks_serve_waiters_in_the_order_of_their_arrival() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    order = []

    async def enter(number: int) -> None:
        async with locks["a"]:
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(enter(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_keyed_locks_keep_no_lock_that_is_not_in_use() -> None:
    locks: KeyedLocks[int] = KeyedLocks()
    for key in range(100):
        async with locks[key]:
            pass
    gc.collect()
    assert len(locks) == 0
