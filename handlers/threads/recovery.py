"""Menus that were promised and never confirmed, or stand twice; dialogs submitted and never shown: a process died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.errors import BobbinError, StorageError
from bot.observability import get_logger
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.model_menu import ModelMenus

log = get_logger(__name__)

EVERY = 5.0
OLDER_THAN = 20.0
"""Seconds after which a menu that is on its way counts as lost; while Slack limits us it may take a while."""


class ThreadRecovery:
    def __init__(self, model_menus: ModelMenus, dialog_chats: DialogChats) -> None:
        self._model_menus, self._dialog_chats = model_menus, dialog_chats

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sweep(), name="menus")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sweep(self) -> None:
        older_than = 0.0  # at the start whatever is open was another process's
        while True:
            swept = True
            try:
                await self._model_menus.offer_again(older_than)
                await self._model_menus.tidy()
                await self._dialog_chats.again(older_than)
                await self._model_menus.head_again(older_than)
                await self._model_menus.draw_again(older_than)
            except BobbinError as error:
                log.warning("menus_not_swept", reason=str(error))
                swept = not isinstance(
                    error, StorageError
                )  # with the database away, the start is still to come
            except Exception:
                log.exception("menus_not_swept")
            older_than = OLDER_THAN if swept else older_than
            await asyncio.sleep(EVERY)
