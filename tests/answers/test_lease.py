"""A worker whose lease may have expired waits for a renewal before it continues."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.answers.lease import ClockReading, Lease
from bot.timing import Timing

SAFE_FOR = Timing().lease_safe


def long_ago() -> ClockReading:
    return ClockReading(monotonic=time.monotonic() - SAFE_FOR, wall=time.time() - SAFE_FOR)


def test_age_follows_the_clock_that_counts_more() -> None:
    """One clock stops while a machine sleeps; the other may be set, forward or back."""
    now, wall = time.monotonic(), time.time()
    assert ClockReading(monotonic=now, wall=wall - 100.0).age() >= 100.0
    assert ClockReading(monotonic=now - 100.0, wall=wall).age() >= 100.0
    assert ClockReading(monotonic=now - 100.0, wall=wall + 1000.0).age() >= 100.0


async def test_fresh_lease_is_confirmed_without_a_renewal() -> None:
    renewal_wanted = asyncio.Event()
    lease = Lease(ClockReading(), renewal_wanted.set, SAFE_FOR)
    await lease.confirm()
    assert not renewal_wanted.is_set()


@pytest.mark.parametrize("invalidated", [False, True])
async def test_all_callers_wait_until_the_database_has_renewed_the_lease(invalidated: bool) -> None:
    renewal_wanted = asyncio.Event()
    before = ClockReading()
    lease = Lease(before if invalidated else long_ago(), renewal_wanted.set, SAFE_FOR)
    if invalidated:
        lease.invalidate()
    waiting = [asyncio.create_task(lease.confirm()) for _ in range(3)]
    await renewal_wanted.wait()
    renewal_wanted.clear()
    lease.mark_renewed(before if invalidated else long_ago())  # by a query that began too early
    await renewal_wanted.wait()
    assert not any(task.done() for task in waiting)
    lease.mark_renewed(ClockReading())
    await asyncio.gather(*waiting)
    await lease.confirm()


async def test_confirm_cancels_a_caller_whose_lease_is_lost() -> None:
    """However recently the lease was renewed."""
    lease = Lease(long_ago(), lambda: None, SAFE_FOR)
    waiting = asyncio.create_task(lease.confirm())
    await asyncio.sleep(0)
    lease.lose()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    lease.mark_renewed(ClockReading())
    late = asyncio.create_task(lease.confirm())
    await asyncio.wait([late])
    assert late.cancelled()


async def test_one_renewal_is_enough_for_a_while() -> None:
    requests: list[float] = []
    lease = Lease(long_ago(), lambda: requests.append(time.monotonic()), SAFE_FOR)
    waiting = asyncio.create_task(lease.confirm())
    await asyncio.sleep(0)
    lease.mark_renewed(ClockReading())
    await waiting
    await lease.confirm()
    assert len(requests) == 1
