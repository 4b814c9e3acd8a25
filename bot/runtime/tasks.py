"""Background tasks with an owner, loops that survive failures, and one lock per key."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from bot.errors import StorageError
from bot.observability import get_logger

log = get_logger(__name__)

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)


class Tasks:
    """Owns background tasks: keeps references to them, logs their failures and ends them.

    An async context manager: leaving it cancels the loops, gives all other tasks `exit_timeout` seconds to end by
    themselves, and cancels those that remain.
    """

    def __init__(self, exit_timeout: float = 2.0) -> None:
        self._exit_timeout = exit_timeout
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs `work` once, in the background. A failure is logged with `name`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def repeat(
        self,
        work: Callable[[], Awaitable[None]],
        interval: float | Callable[[], float],
        name: str,
        *,
        initial_delay: float = 0.0,
        jitter: float = 0.0,
        wake: asyncio.Event | None = None,
    ) -> asyncio.Task[None]:
        """Runs `work` for ever, with a pause of `interval` seconds after each run. A failed run is logged with `name`.

        `interval`: seconds, or a function that returns them and is called after each run. `initial_delay`: seconds
        before the first run. `jitter`: the fraction by which each pause is lengthened or shortened at random, so that
        replicas do not run at the same time. `wake`: setting this event ends the pause at once; it is cleared before
        each run.
        """

        async def loop() -> None:
            await asyncio.sleep(initial_delay)
            while True:
                if wake is not None:
                    wake.clear()
                await _run_logged(work, name)
                seconds = interval() if callable(interval) else interval
                await _pause(seconds * random.uniform(1 - jitter, 1 + jitter), wake)

        task = self.start(loop(), name)
        self._loops.add(task)
        task.add_done_callback(self._loops.discard)
        return task

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        for loop in self._loops:
            loop.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._exit_timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log_failure(task.get_name(), error)


class KeyedTasks(Generic[Key]):
    """Background tasks with keys: at most one at a time for each key, and a limited number for each owner."""

    def __init__(self, tasks: Tasks, most: int) -> None:
        """`most`: the most tasks that one owner may have at the same time, so that none crowds out another."""
        self._tasks = tasks
        self._most = most
        self._running: dict[Key, str] = {}
        """The owner of each task."""

    def start(self, key: Key, owner: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Runs `work` in the background; False, and nothing happens, if there is no room for it."""
        owned = sum(each == owner for each in self._running.values())
        if key in self._running or owned >= self._most:
            return False
        self._running[key] = owner
        task = self._tasks.start(work(), name=str(key))
        task.add_done_callback(lambda _: self._running.pop(key))
        return True


class KeyedLocks(Generic[Key]):
    """One lock per key: `async with locks[key]: …`. A lock that is neither held nor waited for takes up no memory."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def __getitem__(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def __len__(self) -> int:
        """How many locks are in use."""
        return len(self._locks)


async def _run_logged(work: Callable[[], Awaitable[None]], name: str) -> None:
    try:
        await work()
    except Exception as error:  # one failed run must not end the loop
        _log_failure(name, error)


async def _pause(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass


def _log_failure(name: str, error: BaseException) -> None:
    if isinstance(error, StorageError):
        log.warning("storage_unreachable", task=name, reason=str(error))
    else:
        log.error("task_failed", task=name, exc_info=error)


@asynccontextmanager
async def cancelled_on_leaving(*tasks: asyncio.Task[Any]) -> AsyncIterator[None]:
    """Cancels the tasks when the block is left, and waits until they have ended. Their failures are ignored."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
