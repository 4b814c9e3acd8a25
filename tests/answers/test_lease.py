"""Who may have lost an answer asks before it goes on."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.answers import lease
from bot.answers.lease import SURE, ClockReading, Lease


def long_ago() -> ClockReading:
    return ClockReading(monotonic=time.monotonic() - SURE, wall=time.time() - SURE)


def test_the_clock_that_says_more_is_believed() -> None:
    """One stands still while a machine sleeps; the other may be set, forward or back."""
    assert ClockReading(monotonic=time.monotonic(), wall=time.time() - 100.0).age() >= 100.0
    assert ClockReading(monotonic=time.monotonic() - 100.0, wall=time.time()).age() >= 100.0
    assert (
        ClockReading(monotonic=time.monotonic() - 100.0, wall=time.time() + 1000.0).age() >= 100.0
    )


async def test_a_lease_that_was_just_renewed_costs_nothing() -> None:
    asked = asyncio.Event()
    held = Lease(ClockReading(), asked.set)
    await held.confirm()
    assert not asked.is_set()


@pytest.mark.parametrize("doubted", [False, True])
async def test_everybody_waits_until_the_database_has_renewed_it(doubted: bool) -> None:
    asked = asyncio.Event()
    before = ClockReading()
    held = Lease(before if doubted else long_ago(), asked.set)
    if doubted:
        held.invalidate()
    waiting = [asyncio.create_task(held.confirm()) for _ in range(3)]
    await asked.wait()
    asked.clear()
    held.mark_renewed(before if doubted else long_ago())  # an answer to what was asked before
    await asked.wait()
    assert not any(task.done() for task in waiting)
    held.mark_renewed(ClockReading())
    await asyncio.gather(*waiting)
    await held.confirm()


async def test_who_has_lost_it_is_cancelled_however_fresh_it_seems() -> None:
    held = Lease(long_ago(), lambda: None)
    waiting = asyncio.create_task(held.confirm())
    await asyncio.sleep(0)
    held.lose()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    held.mark_renewed(ClockReading())
    late = asyncio.create_task(held.confirm())
    await asyncio.wait([late])
    assert late.cancelled()


async def test_one_answer_from_the_database_is_enough_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease, "SURE", 0.2)
    asked: list[float] = []
    held = Lease(ClockReading(), lambda: asked.append(time.monotonic()))
    await asyncio.sleep(0.25)
    waiting = asyncio.create_task(held.confirm())
    await asyncio.sleep(0)
    held.mark_renewed(ClockReading())
    await waiting
    await held.confirm()
    assert len(asked) == 1
