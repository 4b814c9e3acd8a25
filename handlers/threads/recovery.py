"""Finishes what a process that ended left undone in threads: menus, headers, and chats from dialogs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.errors import BobbinError, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.model_menu import ModelMenus
from handlers.threads.successors import SuccessorThreads

log = get_logger(__name__)


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
        """Sweeps while this is open, for the first time at once."""
        self._started_at = time.monotonic()
        async with Tasks(exit_timeout=0.0) as tasks:
            tasks.repeat(self._sweep, self._timing.thread_sweep_interval, name="thread recovery")
            yield

    async def _sweep(self) -> None:
        min_age = self._min_age()
        swept = True
        try:
            await self._menus.offer_missing(min_age)
            await self._menus.start_ready(min_age)
            await self._menus.delete_duplicates()
            await self._dialog_chats.start_missing(min_age)
            await self._successors.open_missing(min_age)
            await self._headers.post_missing(min_age)
            await self._headers.draw_missing(min_age)
        except BobbinError as error:
            log.warning("thread_recovery_failed", reason=str(error))
            swept = not isinstance(error, StorageError)  # then the first sweep is still to come
        finally:
            self._has_swept = self._has_swept or swept

    def _min_age(self) -> float:
        """Seconds that a request must be old. At first, whatever is older than this process was another one's."""
        if self._has_swept:
            return self._timing.thread_sweep_min_age
        return time.monotonic() - self._started_at
