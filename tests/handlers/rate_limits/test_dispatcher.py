"""`CallDispatcher`: turns are waited for on the event loop, with a clock of the test's own or the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from handlers.rate_limits.dispatcher import CallDispatcher
from handlers.rate_limits.scheduler import PendingWrite, Shown, WriteScheduler
from handlers.rate_limits.token_bucket import APPEND, POST, RATES, START, UPDATE, Rate

QUICK = {APPEND: Rate(50.0, 2), UPDATE: Rate(50.0, 2), POST: Rate(20.0, 1), START: Rate(20.0, 1)}


@asynccontextmanager
async def joined(desk: CallDispatcher, shown: Shown = Shown.NOT, **more: object) -> AsyncIterator[PendingWrite]:
    desire = PendingWrite("C1", shown=shown)
    for name, value in more.items():
        setattr(desire, name, value)
    desk.join(desire)
    try:
        yield desire
    finally:
        desk.leave(desire)


async def settle() -> None:
    """Let everything that is due happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_turn_comes_when_there_is_something_to_write() -> None:
    desk = CallDispatcher()
    async with joined(desk) as desire:
        turn = asyncio.create_task(desk.turn(desire))
        await settle()
        assert not turn.done()
        desire.since = desk.now()
        desk.poke()
        assert await asyncio.wait_for(turn, 1) == START
        assert desire.busy
        assert desire.written_at <= desk.now()


async def test_a_turn_is_taken_off_the_budget_and_can_be_given_back() -> None:
    desk = CallDispatcher()
    before = desk.free(START)
    async with joined(desk, since=0.0) as desire:
        await asyncio.wait_for(desk.turn(desire), 1)
    assert desk.free(START) <= before - 0.9
    desk.give_back(START, "C1")
    assert desk.free(START) == pytest.approx(before, abs=0.1)


async def test_whoever_waits_is_served_as_the_budget_comes_back() -> None:
    desk = CallDispatcher(WriteScheduler(QUICK))

    async def call() -> None:
        await desk.slot(UPDATE, "C1")
        desk.settled(UPDATE, "C1")

    async with asyncio.timeout(10):
        await asyncio.gather(*(call() for _ in range(12)))
    assert desk.free(UPDATE) < 2


async def test_after_a_refusal_nobody_gets_a_turn_before_slack_said() -> None:
    desk = CallDispatcher(WriteScheduler(QUICK))
    desk.refused(UPDATE, "C1", 0.3)
    began = desk.now()
    await asyncio.wait_for(desk.slot(UPDATE, "C1"), 5)
    assert desk.now() - began >= 0.3 - 0.01


async def test_channels_do_not_wait_for_each_others_posts() -> None:
    now = [0.0]
    desk = CallDispatcher(clock=lambda: now[0])
    for _ in range(int(RATES[POST].burst)):
        await desk.slot(POST, "C1")
    waiting = asyncio.create_task(desk.slot(POST, "C1"))
    await asyncio.wait_for(desk.slot(POST, "C2"), 1)
    await settle()
    assert not waiting.done()
    for _ in range(int(RATES[POST].burst)):
        desk.settled(POST, "C1")
    now[0] = 1.1
    desk.poke()
    await asyncio.wait_for(waiting, 1)


async def test_a_waiter_that_is_cancelled_costs_nothing() -> None:
    now = [0.0]
    desk = CallDispatcher(WriteScheduler({POST: Rate(1.0, 1)}), clock=lambda: now[0])
    await desk.slot(POST, "C1")
    desk.settled(POST, "C1")
    gone = asyncio.create_task(desk.slot(POST, "C1"))
    await settle()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    now[0] = 1.1
    await asyncio.wait_for(desk.slot(POST, "C1"), 1)


async def test_an_answer_that_has_left_shares_no_budget() -> None:
    desk = CallDispatcher()
    async with joined(desk, Shown.NATIVE, since=0.0) as desire:
        turn = asyncio.create_task(desk.turn(desire))
        assert await asyncio.wait_for(turn, 1) == APPEND
    async with joined(desk, Shown.NATIVE) as other:
        turn = asyncio.create_task(desk.turn(other))
        await settle()
        desire.since = desk.now()
        desk.poke()
        await settle()
        assert not turn.done()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)


async def test_the_end_of_an_answer_waits_for_nobodys_gap() -> None:
    now = [100.0]
    desk = CallDispatcher(clock=lambda: now[0])
    async with joined(desk, Shown.EDIT, since=99.0, written_at=100.0) as desire:
        turn = asyncio.create_task(desk.turn(desire))
        await settle()
        assert not turn.done()
        desire.whole = True
        desk.poke()
        assert await asyncio.wait_for(turn, 1) == UPDATE
