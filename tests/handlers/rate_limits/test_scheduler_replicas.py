"""Answers spread over replicas with a shared limit: written nearly as evenly as by one process, without a 429."""

from __future__ import annotations

import pytest

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import PER_CHANNEL
from storage.coordination.memory import MemoryBucket
from tests.simulation import Simulation, Writer


class Replicas(Simulation):
    """Each answer belongs to one of several schedulers, which ask a shared limit as `CallDispatcher` does."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._schedulers = [WriteScheduler() for _ in range(count)]
        for scheduler in self._schedulers:
            scheduler.peers = count
        self._scheduler_of: dict[int, WriteScheduler] = {}
        self._shared_limits: dict[tuple[str, str], MemoryBucket] = {}

    def add(self, writer: Writer) -> Writer:
        self._scheduler_of[id(writer.pending)] = self._schedulers[
            len(self.writers) % len(self._schedulers)
        ]
        return super().add(writer)

    def _begin(self, writer: Writer) -> None:
        self.scheduler = self._scheduler_of[id(writer.pending)]
        super()._begin(writer)

    def _dispatch(self) -> None:
        for scheduler in self._schedulers:
            self.scheduler = scheduler
            for who, method in scheduler.grants(self.now):
                if self._granted(who, method):
                    self._call(self._writer_of[id(who)], method)
        wakes = [
            wake
            for scheduler in self._schedulers
            if (wake := scheduler.wake_at(self.now)) is not None
        ]
        if wakes and not self.now < self._next_dispatch <= min(wakes):
            self._next_dispatch = min(wakes)
            self._at(self._next_dispatch, self._dispatch_again_at_wake)

    def _dispatch_again_at_wake(self) -> None:
        self._next_dispatch = float("inf")
        self._dispatch()

    def _granted(self, who: PendingWrite | QueuedCall, method: str) -> bool:
        assert isinstance(who, PendingWrite)
        bucket = self.scheduler.bucket(method, who.channel, self.now)
        key = (method, who.channel if method in PER_CHANNEL else "")
        shared_limits = self._shared_limits.setdefault(key, MemoryBucket(bucket.burst, self.now))
        grant = shared_limits.acquire(self.now, bucket.per_second, bucket.burst)
        if not grant.granted:
            bucket.refund()
            who.busy = False
        bucket.sync(self.now, grant.remaining, grant.wait)
        return grant.granted

    def _answered(
        self, writer: Writer, method: str, wait: float, since: float | None, final: bool
    ) -> None:
        self.scheduler = self._scheduler_of[id(writer.pending)]
        super()._answered(writer, method, wait, since, final)


def storm(count: int, replicas: int) -> Simulation:
    simulation = Replicas(replicas)
    for number in range(count):
        simulation.add(Writer(f"C{number % 5}", 0.0, 200, 40.0))
    simulation.run()
    return simulation


@pytest.mark.parametrize("count", [1, 5, 20, 50])
def test_three_replicas_serve_a_burst_nearly_as_well_as_one_process(count: int) -> None:
    one, three = storm(count, 1), storm(count, 3)
    assert (one.completed(), three.completed()) == (count, count)
    assert (dict(one.rate_limited), dict(three.rate_limited)) == ({}, {})
    assert three.mean_lag() <= 1.3 * one.mean_lag()
