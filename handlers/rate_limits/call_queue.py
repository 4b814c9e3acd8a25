"""Calls that wait to be granted, in lanes: of all calls that wait for one bucket, only the first needs to be
examined.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator

from handlers.rate_limits.pending_write import QueuedCall
from handlers.rate_limits.token_bucket import BucketKey, bucket_key
from handlers.rate_limits.urgency import Urgency


class Lane:
    """Calls of one class that wait for the same bucket, oldest first. Adding and removing take logarithmic time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, QueuedCall]] = []
        self._order: dict[QueuedCall, int] = {}
        """All that wait, by order of arrival; the heap may still hold others, which were withdrawn."""

    def __len__(self) -> int:
        return len(self._order)

    def add(self, call: QueuedCall, order: int) -> None:
        self._order[call] = order
        heapq.heappush(self._heap, (call.waiting_since, order, call))

    def discard(self, call: QueuedCall) -> None:
        self._order.pop(call, None)
        if len(self._heap) > 2 * len(self._order) + 8:  # most of which are withdrawn ones
            self._heap = [entry for entry in self._heap if self._waits(entry)]
            heapq.heapify(self._heap)

    def first(self) -> QueuedCall | None:
        while self._heap and not self._waits(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def _waits(self, entry: tuple[float, int, QueuedCall]) -> bool:
        return self._order.get(entry[2]) == entry[1]


class CallQueue:
    """All queued calls of one workspace, by class and bucket."""

    def __init__(self) -> None:
        self._lanes: dict[Urgency, dict[BucketKey, Lane]] = {each: {} for each in Urgency}
        self._replaceable: dict[Hashable, QueuedCall] = {}
        self._count = itertools.count()

    def __len__(self) -> int:
        return sum(len(lane) for lanes in self._lanes.values() for lane in lanes.values())

    def add(self, call: QueuedCall) -> QueuedCall | None:
        """Returns the older call that this one replaces, if any: it takes over that call's position, and its class if
        that is better.
        """
        replaced = self.waiting_for(call.target)
        if replaced is not None:
            self.discard(replaced)
            call.waiting_since = min(call.waiting_since, replaced.waiting_since)
            call.urgency = min(call.urgency, replaced.urgency)
        if call.target is not None:
            self._replaceable[call.target] = call
        lane = self._lanes[call.urgency].setdefault(_key(call), Lane())
        lane.add(call, next(self._count))
        return replaced

    def waiting_for(self, target: Hashable) -> QueuedCall | None:
        """The call that waits to set this target."""
        return None if target is None else self._replaceable.get(target)

    def discard(self, call: QueuedCall) -> None:
        """Removes a call that no longer waits; does nothing if it did not wait."""
        if call.target is not None and self._replaceable.get(call.target) is call:
            del self._replaceable[call.target]
        lanes = self._lanes[call.urgency]
        if (lane := lanes.get(_key(call))) is not None:
            lane.discard(call)
            if not lane:
                del lanes[_key(call)]

    def first(self, urgency: Urgency) -> Iterator[QueuedCall]:
        """The oldest call of each lane, and the next one whenever the previous one is removed meanwhile."""
        for lane in list(self._lanes[urgency].values()):
            previous = None
            while (call := lane.first()) is not None and call is not previous:
                yield call
                previous = call


def _key(call: QueuedCall) -> BucketKey:
    return bucket_key(call.method, call.channel)
