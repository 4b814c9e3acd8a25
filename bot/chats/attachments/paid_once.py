"""Work that costs money and whose result is stored: one process does it at a time, to its end, and others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.runtime.tasks import Tasks
from bot.timing import Timing
from storage.action_claims import ActionClaims

T = TypeVar("T")
CLAIM = "paid once"


class PaidOnce:
    def __init__(self, claims: ActionClaims, tasks: Tasks, timing: Timing = Timing()) -> None:
        self._claims = claims
        self._tasks = tasks
        self._lease = timing.lease
        self._pause = timing.turn_poll_interval

    async def do(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns or raises, as soon as nobody else does it; so it must look for what others have stored.

        It goes on when the caller is cancelled, and ends with the process: then others may do it, after a kill too.
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
        """What the work returns or raises, which nobody may wait for any more; nothing while somebody else does it."""
        try:
            async with self._claims.alone(CLAIM, what, seconds=self._lease) as is_free:
                return [await work()] if is_free else []
        except Exception as error:
            return [error]
