"""Threads as conversations: what is said in one is taken in the order in which it came."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from weakref import WeakValueDictionary

from bot.domain import Thread

MOST = 2_000


class ThreadLocks:
    """Slack's events are handled side by side; those of one thread must not overtake each other."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[Thread, asyncio.Lock] = WeakValueDictionary()
        self._told: OrderedDict[tuple[Thread, str], None] = OrderedDict()

    def hold(self, thread: Thread) -> asyncio.Lock:
        """To be held while a message of this thread is taken; whoever comes first gets it first."""
        return self._turns.setdefault(thread, asyncio.Lock())

    def first_time(self, thread: Thread, ts: str) -> bool:
        """Whether nobody has been told about this message yet, which Slack may deliver several times."""
        if (thread, ts) in self._told:
            return False
        self._told[thread, ts] = None
        if len(self._told) > MOST:
            self._told.popitem(last=False)
        return True
