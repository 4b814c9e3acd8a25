"""Tasks that belong to somebody: kept alive, their failures logged, waited for at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.errors import StorageError
from bot.observability import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class Tasks:
    """An owner of small background tasks. An async context manager: leaving it waits a little, then cancels."""

    def __init__(self, patience: float = 2.0) -> None:
        self._patience = patience
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs `work` beside everything else. A failure is logged under `name`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, StorageError):
            log.warning("storage_unreachable", task=task.get_name(), reason=str(error))
        else:
            log.error("task_failed", task=task.get_name(), exc_info=error)
