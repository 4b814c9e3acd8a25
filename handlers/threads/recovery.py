"""Finishes what dead processes left undone in threads: menus, headers, and chats from dialogs.

A sweep only starts the work: each piece is finished separately in the background. So a workspace whose Slack hangs, or
a thread that cannot be read, delays nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bot.errors import BobbinError, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import KeyedTasks, Tasks
from bot.timing import Timing
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.model_menu import ModelMenus
from handlers.threads.successors import SuccessorThreads
from handlers.threads.unfinished import Unfinished

log = get_logger(__name__)

MAX_OF_TEAM = 20
"""Pieces of one kind and workspace that are being finished at the same time."""
FIRST_SWEEP_TIMEOUT = 10.0
"""Seconds for which the first sweep may delay a start."""


class ThreadRecovery:
    def __init__(
        self,
        menus: ModelMenus,
        headers: ChatHeaders,
        dialog_chats: DialogChats,
        successors: SuccessorThreads,
        timing: Timing,
    ) -> None:
        self._menus = menus
        self._headers = headers
        self._dialog_chats = dialog_chats
        self._successors = successors
        self._timing = timing
        self._started_at = 0.0
        self._has_swept = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweeps while this is open, for the first time before it opens: then what is unfinished was left by another
        process, and none of it can be what this one is about to do.
        """
        self._started_at = time.monotonic()
        async with Tasks(exit_timeout=0.0) as tasks:
            under_way = KeyedTasks[tuple[str, str]](tasks, MAX_OF_TEAM)
            first = tasks.start(self._sweep(under_way, 0.0), name="thread recovery")
            await asyncio.wait({first}, timeout=FIRST_SWEEP_TIMEOUT)
            interval = self._timing.thread_sweep_interval
            sweep = partial(self._sweep_again, under_way)
            tasks.repeat(sweep, interval, name="thread recovery", initial_delay=interval)
            yield

    async def _sweep_again(self, under_way: KeyedTasks[tuple[str, str]]) -> None:
        await self._sweep(under_way, self._min_age())

    async def _sweep(self, under_way: KeyedTasks[tuple[str, str]], min_age: float) -> None:
        swept = True
        try:
            await self._dialog_chats.start_missing(min_age)
            await self._successors.open_missing(min_age)
            for piece in await self._unfinished(min_age):
                owner = f"{piece.kind} {piece.team}"
                under_way.start((piece.kind, piece.id), owner, partial(_finish, piece))
        except BobbinError as error:
            log.warning("thread_recovery_failed", reason=str(error))
            swept = not isinstance(error, StorageError)  # then the first sweep is still to come
        finally:
            self._has_swept = self._has_swept or swept

    async def _unfinished(self, min_age: float) -> list[Unfinished]:
        return [
            *await self._menus.missing(min_age),
            *await self._menus.ready_to_start(min_age),
            *await self._menus.duplicates(),
            *await self._headers.missing(min_age),
            *await self._headers.not_drawn(min_age),
        ]

    def _min_age(self) -> float:
        """The minimum age of a request in seconds. Until one sweep has succeeded, anything older than this process
        belonged to another one.
        """
        if self._has_swept:
            return self._timing.thread_sweep_min_age
        return time.monotonic() - self._started_at


async def _finish(piece: Unfinished) -> None:
    try:
        await piece.finish()
    except BobbinError as error:  # the next sweep finds it again
        log.warning("thread_recovery_failed", kind=piece.kind, reason=str(error))
