"""`CallDispatcher`: turns are waited for on the event loop, with a clock of the test's own or the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from handlers.rate_limits.dispatcher import CallDispatcher, Replaced
from handlers.rate_limits.pending_write import PendingWrite, Visibility
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, UPDATE, Rate
from tests.deadlines import WAIT_TIMEOUT

QUICK = {APPEND: Rate(50.0, 2), UPDATE: Rate(50.0, 2), POST: Rate(20.0, 1), START: Rate(20.0, 1)}


@asynccontextmanager
async def joined(
    dispatcher: CallDispatcher, shown: Visibility = Visibility.HIDDEN, **more: object
) -> AsyncIterator[PendingWrite]:
    pending = PendingWrite("C1", visibility=shown)
    for name, value in more.items():
        setattr(pending, name, value)
    dispatcher.join(pending)
    try:
        yield pending
    finally:
        dispatcher.leave(pending)


def new_dispatcher(scheduler: WriteScheduler | None = None) -> CallDispatcher:
    """A dispatcher whose clock stops while the machine is busy with other programs, as the timers of the tests do."""
    return CallDispatcher(scheduler, clock=asyncio.get_running_loop().time)


async def settle() -> None:
    """Let everything that is due happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_write_is_granted_once_there_is_text() -> None:
    dispatcher = new_dispatcher()
    async with joined(dispatcher) as pending:
        turn = asyncio.create_task(dispatcher.acquire_write(pending))
        await settle()
        assert not turn.done()
        pending.waiting_since = dispatcher.now()
        dispatcher.wake()
        assert await asyncio.wait_for(turn, WAIT_TIMEOUT) == START
        assert pending.busy
        assert pending.written_at <= dispatcher.now()


async def test_a_granted_call_is_taken_off_the_bucket_and_can_be_given_back() -> None:
    dispatcher = new_dispatcher()
    before = dispatcher.available(START)
    async with joined(dispatcher, waiting_since=0.0) as pending:
        await asyncio.wait_for(dispatcher.acquire_write(pending), WAIT_TIMEOUT)
    assert dispatcher.available(START) <= before - 0.9
    dispatcher.refund(START, "C1")
    assert dispatcher.available(START) == pytest.approx(before, abs=0.1)


async def test_waiting_calls_are_granted_as_the_bucket_refills() -> None:
    dispatcher = new_dispatcher(WriteScheduler(QUICK))

    async def call() -> None:
        await dispatcher.acquire(UPDATE, "C1")
        dispatcher.settle(UPDATE, "C1")

    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(call() for _ in range(12)))
    assert dispatcher.available(UPDATE) < 2


async def test_after_a_429_nothing_is_granted_before_retry_after() -> None:
    dispatcher = new_dispatcher(WriteScheduler(QUICK))
    dispatcher.rate_limited(UPDATE, "C1", 0.3)
    began = dispatcher.now()
    await asyncio.wait_for(dispatcher.acquire(UPDATE, "C1"), WAIT_TIMEOUT)
    assert dispatcher.now() - began >= 0.3 - 0.01


async def test_channels_do_not_wait_for_each_others_posts() -> None:
    now = [0.0]
    dispatcher = CallDispatcher(clock=lambda: now[0])
    for _ in range(int(RATES[POST].burst)):
        await dispatcher.acquire(POST, "C1")
    waiting = asyncio.create_task(dispatcher.acquire(POST, "C1"))
    await asyncio.wait_for(dispatcher.acquire(POST, "C2"), WAIT_TIMEOUT)
    await settle()
    assert not waiting.done()
    for _ in range(int(RATES[POST].burst)):
        dispatcher.settle(POST, "C1")
    now[0] = 1.1
    dispatcher.wake()
    await asyncio.wait_for(waiting, WAIT_TIMEOUT)


async def test_a_cancelled_wait_costs_nothing() -> None:
    now = [0.0]
    dispatcher = CallDispatcher(WriteScheduler({POST: Rate(1.0, 1)}), clock=lambda: now[0])
    await dispatcher.acquire(POST, "C1")
    dispatcher.settle(POST, "C1")
    gone = asyncio.create_task(dispatcher.acquire(POST, "C1"))
    await settle()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    now[0] = 1.1
    await asyncio.wait_for(dispatcher.acquire(POST, "C1"), WAIT_TIMEOUT)


async def test_an_answer_that_has_ended_shares_no_limits() -> None:
    dispatcher = new_dispatcher()
    async with joined(dispatcher, Visibility.NATIVE, waiting_since=0.0) as pending:
        turn = asyncio.create_task(dispatcher.acquire_write(pending))
        assert await asyncio.wait_for(turn, WAIT_TIMEOUT) == APPEND
    async with joined(dispatcher, Visibility.NATIVE) as other:
        turn = asyncio.create_task(dispatcher.acquire_write(other))
        await settle()
        pending.waiting_since = dispatcher.now()
        dispatcher.wake()
        await settle()
        assert not turn.done()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)


async def test_an_ending_does_not_wait_for_the_write_interval() -> None:
    now = [100.0]
    dispatcher = CallDispatcher(clock=lambda: now[0])
    async with joined(
        dispatcher, Visibility.EDITED, waiting_since=99.0, written_at=100.0
    ) as pending:
        turn = asyncio.create_task(dispatcher.acquire_write(pending))
        await settle()
        assert not turn.done()
        pending.final = True
        dispatcher.wake()
        assert await asyncio.wait_for(turn, WAIT_TIMEOUT) == UPDATE


async def test_a_wait_that_is_cancelled_as_it_is_granted_costs_nothing() -> None:
    dispatcher = new_dispatcher(WriteScheduler({POST: Rate(0.001, 1)}))
    gone = asyncio.create_task(dispatcher.acquire(POST, "C1"))
    while dispatcher.available(POST, "C1") >= 1.0:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert dispatcher.available(POST, "C1") == pytest.approx(1.0, abs=0.01)


async def test_a_replaced_call_waits_no_longer() -> None:
    dispatcher = new_dispatcher(WriteScheduler({UPDATE: Rate(0.001, 1)}))
    await dispatcher.acquire(UPDATE, "C1")
    older = asyncio.create_task(dispatcher.acquire(UPDATE, "C1", target="header"))
    await settle()
    newer = asyncio.create_task(dispatcher.acquire(UPDATE, "C1", target="header"))
    with pytest.raises(Replaced):
        await asyncio.wait_for(older, WAIT_TIMEOUT)
    newer.cancel()
    await asyncio.gather(newer, return_exceptions=True)
