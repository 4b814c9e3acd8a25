"""Paid work whose result is stored: one process at a time does it, to its end, while others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.runtime.tasks import Tasks
from bot.timing import Timing
from storage.action_claims import ActionClaims

T = TypeVar("T")
CLAIM = "paid once"


class SingleRun:
    def __init__(self, claims: ActionClaims, tasks: Tasks, timing: Timing = Timing()) -> None:
        self._claims = claims
        self._tasks = tasks
        self._lease = timing.lease_duration
        self._pause = timing.turn_poll_interval

    async def do(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Returns or raises what `work` does, once nobody else is doing it; so `work` must check what others have
        stored.

        The work continues if the caller is cancelled, and ends with the process; after a kill, too, others may do it
        then.
        """
        while True:
            outcomes = await asyncio.shield(
                self._tasks.start(self._do_if_free(what, work), name="paid work")
            )
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
            await asyncio.sleep(self._pause)

    async def _do_if_free(self, what: str, work: Callable[[], Awaitable[T]]) -> list[T | Exception]:
        """Does the work even if nobody waits for it any more; does nothing while somebody else is doing it."""
        try:
            async with self._claims.alone(CLAIM, what, seconds=self._lease) as is_free:
                return [await work()] if is_free else []
        except Exception as error:
            return [error]
