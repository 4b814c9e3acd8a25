"""An event loop to which everything it waits for comes late, at random, as from a busy server: `make test-slowed`.

What is late is what a file has to read, so the other side has acted already and is only heard later: an answer of
PostgreSQL or Redis, a request to the sandbox or to a stand-in of a model and its response, a message of a WebSocket,
the output of a program; and what a thread has done, so each statement and commit of SQLite. The tests' own loop is
slowed, in which the sandbox, the stand-ins and most bots run; programs that a test starts have loops of their own.

A test that fails in this loop only has assumed an order that nothing guarantees, or waits too briefly.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from tests.event_loop import LoadTolerantLoop

_SOMETIMES = 0.08
"""The share of answers that are a little late, by at most a tenth of the longest delay."""
_RARELY = (0.003, 0.2)
"""The least and the greatest share of answers that are very late; in each test another share, by its seed."""
_ORDER = 1e-6
"""Seconds between two callbacks of one thread that are both late: they keep their order."""


class SlowedLoop(LoadTolerantLoop):
    """Belongs to the thread that creates it. The same seed draws the same delays in turn."""

    def __init__(self, longest: float, seed: str) -> None:
        self._longest, self._random = longest, random.Random(seed)
        least, most = _RARELY
        self._rarely = least * (most / least) ** self._random.random()
        self._due: dict[int, float] = {}
        """By file: when what it has to read may be read; kept if nobody reads from it for a while."""
        self._resuming: dict[int, asyncio.TimerHandle] = {}
        """By file: what ends its delay."""
        self._thread_due: dict[int, float] = {}
        """By thread of which a callback is late: when the next one may be called, so after all of those."""
        self.late_callbacks = 0
        self.held_back = 0
        """How many times anything was late."""
        super().__init__()

    def is_holding_back(self) -> bool:
        """Whether anything has happened of which nobody here knows yet."""
        return bool(self._resuming or self.late_callbacks)

    def _delay(self) -> float:
        draw = self._random.random()
        if draw < self._rarely:
            return self._random.uniform(0.6, 1.0) * self._longest
        if draw < self._rarely + _SOMETIMES:
            return self._random.uniform(0.02, 0.1) * self._longest
        return 0.0

    # What files have to read. The base class's methods are private, but serve transports and `add_reader` alike.

    def _add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any:
        self._stop_resuming(fd)
        add = super()._add_reader  # type: ignore[misc]
        if fd == self._ssock.fileno():  # type: ignore[attr-defined]
            return add(fd, callback, *args)  # it only wakes this loop
        return add(fd, self._read, fd, callback, args)

    def _remove_reader(self, fd: int) -> Any:
        return self._stop_resuming(fd) | super()._remove_reader(fd)  # type: ignore[misc]

    def _stop_resuming(self, fd: int) -> bool:
        resuming = self._resuming.pop(fd, None)
        if resuming is not None:
            resuming.cancel()
        return resuming is not None

    def _read(self, fd: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        due = self._due.pop(fd, None)
        if due is None:
            due = self.time() + self._delay()
        if due <= self.time():
            callback(*args)
            return
        self._due[fd] = due
        self.held_back += 1
        super()._remove_reader(fd)  # type: ignore[misc]
        self._resuming[fd] = self.call_at(due, self._resume, fd, callback, args)

    def _resume(self, fd: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._due.pop(fd, None)
        self._add_reader(fd, callback, *args)
        callback(*args)

    # What threads have done.

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        call = super().call_soon_threadsafe
        thread = threading.get_ident()
        if thread == self._thread_id:  # type: ignore[attr-defined]
            return call(callback, *args, context=context)  # a signal
        return call(self._take_from, thread, callback, args, context=context)

    def _take_from(self, thread: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        now = self.time()
        due = max(now + self._delay(), self._thread_due.get(thread, now))
        if due <= now and thread not in self._thread_due:
            callback(*args)
            return
        self._thread_due[thread] = due + _ORDER
        self.late_callbacks += 1
        self.held_back += 1
        self.call_at(due, self._take_late, thread, due, callback, args)

    def _take_late(
        self, thread: int, due: float, callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        if self._thread_due[thread] == due + _ORDER:  # none waits behind it
            del self._thread_due[thread]
        self.late_callbacks -= 1
        callback(*args)


def is_holding_back() -> bool:
    """Whether the running loop, slowed by `--slow-down`, holds anything back."""
    loop = asyncio.get_running_loop()
    return isinstance(loop, SlowedLoop) and loop.is_holding_back()
