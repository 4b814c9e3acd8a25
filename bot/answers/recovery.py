"""Renews this worker's leases, picks up answers that no worker holds, and acts on requests of other processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bot.answers.after_work import AfterWork
from bot.answers.engine import Engine
from bot.answers.events import STOP_TOPIC, TEXT_REQUEST_TOPIC, WAKE_TOPIC
from bot.answers.lease import ClockReading
from bot.answers.running_answer import HOLDING, RunningAnswer
from bot.answers.workers import is_dead
from bot.observability import Metrics, get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from storage.answers import Answers
from storage.coordination import Coordination

log = get_logger(__name__)

MAX_CHATS_PER_SWEEP = 200
RESUBSCRIBE_DELAY = 0.5
"""Seconds before a subscription that ended is opened again."""
JITTER = 0.1
"""The fraction by which renewals and sweeps come earlier or later, so that replicas do not all act at the same time."""


class Recovery:
    """The only component that polls the database for work: a healthy answer never waits for a sweep."""

    def __init__(
        self,
        engine: Engine,
        after_work: AfterWork,
        answers: Answers,
        coordination: Coordination,
        metrics: Metrics,
        *,
        single_host: bool = False,
        timing: Timing = Timing(),
    ) -> None:
        """`single_host`: all processes that share the database run on one machine."""
        self._engine = engine
        self._after_work = after_work
        self._answers = answers
        self._coordination = coordination
        self._metrics = metrics
        self._single_host = single_host
        self._timing = timing
        self._renewed = self._swept = self._swept_chores = ClockReading()
        """When all leases were last renewed, or there was none; and when each sweep last succeeded."""

    async def fault(self) -> str | None:
        """The name of the periodic work that has not succeeded for too long; None if all has."""
        achieved = {
            "renewing leases": self._renewed,
            "the sweep": self._swept,
            "the sweep of after-work": self._swept_chores,
        }
        for work, last in achieved.items():
            if last.age() > self._timing.overdue:
                return f"{work} last succeeded {last.age():.0f} s ago"
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with Tasks(exit_timeout=0.0) as tasks:
            tasks.repeat(
                self._renew_leases,
                self._timing.lease_renew_interval,
                "leases",
                jitter=JITTER,
                wake=self._engine.renewal_wanted,
            )
            tasks.repeat(self._sweep, self._timing.sweep_interval, "recovery", jitter=JITTER)
            tasks.repeat(
                self._sweep_chores, self._timing.sweep_interval, "after-work", jitter=JITTER
            )
            tasks.repeat(self._receive_stops, RESUBSCRIBE_DELAY, "stops", jitter=JITTER)
            tasks.repeat(self._receive_wakes, RESUBSCRIBE_DELAY, "wakes", jitter=JITTER)
            tasks.repeat(self._receive_text_requests, RESUBSCRIBE_DELAY, "texts", jitter=JITTER)
            yield

    async def _renew_leases(self) -> None:
        before = ClockReading()
        if running := dict(self._engine.running):
            await self._renew(running, before)
        self._renewed = before

    async def _renew(self, running: Mapping[str, RunningAnswer], before: ClockReading) -> None:
        meters = [run.meter for run in running.values() if run.meter is not None]
        used = {meter.asked.id: meter.so_far() for meter in meters}
        held = await self._answers.renew(
            self._engine.worker_id, self._timing.lease_duration, list(running), used
        )
        for answer_id, run in running.items():
            if answer_id in held:
                run.lease.mark_renewed(before)
                if held[answer_id]:
                    run.stop()
            elif run.state in HOLDING:
                log.warning("lease_lost", answer=answer_id)
                run.abort()

    async def _sweep(self) -> None:
        """Picks up answers that nobody has begun, and those whose lease has lapsed (`LEASE_LAPSED`)."""
        before = ClockReading()
        await self._release_dead_on_this_machine()
        self._metrics.set_waiting(await self._answers.waiting_count())
        for chat_id in await self._answers.chats_to_claim(MAX_CHATS_PER_SWEEP):
            self._engine.look_for_work(chat_id)
        self._swept = before

    async def _sweep_chores(self) -> None:
        before = ClockReading()
        await self._after_work.take_from_dead(self._is_dead)
        await self._after_work.sweep()
        self._swept_chores = before

    async def _release_dead_on_this_machine(self) -> None:
        """Immediately releases the leases of dead workers on this machine, without waiting until they lapse."""
        for worker_id in await self._answers.worker_ids():
            if self._is_dead(worker_id):
                log.info("dead_worker_found", worker=worker_id)
                for _ in await self._answers.release(worker_id):
                    self._metrics.count_takeover()

    def _is_dead(self, worker_id: str) -> bool:
        return is_dead(worker_id, self._engine.worker_id, single_host=self._single_host)

    async def _receive_stops(self) -> None:
        async with self._coordination.subscribe(STOP_TOPIC) as signals:
            async for signal in signals:
                self._engine.stop(str(signal.event.get("answer")))

    async def _receive_wakes(self) -> None:
        async with self._coordination.subscribe(WAKE_TOPIC) as signals:
            async for signal in signals:
                self._engine.look_for_work(str(signal.event.get("chat")))

    async def _receive_text_requests(self) -> None:
        """Sends the text so far of an answer that this worker writes to processes that start following it."""
        async with self._coordination.subscribe(TEXT_REQUEST_TOPIC) as signals:
            async for signal in signals:
                run = self._engine.running.get(str(signal.event.get("answer")))
                if run is not None:
                    text_so_far = {
                        "message": run.answer.id,
                        "attempt": run.answer.attempt,
                        "text": "".join(run.text),
                    }
                    await self._coordination.publish(str(signal.event.get("to")), text_so_far)
