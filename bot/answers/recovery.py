"""Keeps this process's leases alive, takes up answers whose owner died or that nobody began, and hears the others."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.answers.engine import Engine
from bot.answers.events import STOP_TOPIC, TEXT_REQUEST_TOPIC, WAKE_TOPIC
from bot.answers.lease import LEASE, ClockReading
from bot.answers.workers import is_dead
from bot.errors import StorageError
from bot.observability import Metrics, get_logger
from storage.answers import Answers
from storage.coordination import Coordination

log = get_logger(__name__)

RENEW_EVERY = LEASE / 4
"""Seconds; three renewals may fail before a lease lapses."""
SWEEP_EVERY = 2.0
"""Seconds between two looks for work that nobody holds."""
AT_ONCE = 200


class Recovery:
    """The only sweep there is: on the way of a healthy answer nothing is polled."""

    def __init__(
        self,
        engine: Engine,
        answers: Answers,
        coordination: Coordination,
        metrics: Metrics,
        *,
        one_machine: bool = False,
    ) -> None:
        self._engine, self._answers, self._coordination, self._metrics = (
            engine,
            answers,
            coordination,
            metrics,
        )
        self._one_machine = one_machine

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(
                _for_ever(self._renew, RENEW_EVERY, self._engine.renewal_wanted), name="leases"
            ),
            asyncio.create_task(_for_ever(self._sweep, SWEEP_EVERY), name="recovery"),
            asyncio.create_task(_for_ever(self._hear_stops, 0.5), name="stops"),
            asyncio.create_task(_for_ever(self._hear_wakes, 0.5), name="wakes"),
            asyncio.create_task(_for_ever(self._tell_texts, 0.5), name="texts"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _release_dead_workers(self) -> None:
        """What the dead of this machine held is taken at once: no need to wait until their leases lapse."""
        for owner in await self._answers.owners():
            if is_dead(owner, self._engine.worker_id, one_machine=self._one_machine):
                log.info("owner_is_dead", owner=owner)
                for _ in await self._answers.release(owner):
                    self._metrics.lease_taken_over()

    async def _renew(self) -> None:
        mine = dict(self._engine.running)
        if not mine:
            return
        asked = ClockReading()
        held = await self._answers.renew(self._engine.worker_id, LEASE, list(mine))
        for answer_id, run in mine.items():
            if answer_id in held:
                run.lease.mark_renewed(asked)
                if held[answer_id] and not run.stopped:
                    run.stop()
            elif not run.ending:
                log.warning("lease_lost", answer=answer_id)
                run.lose()

    async def _sweep(self) -> None:
        await self._release_dead_workers()
        self._metrics.waiting(await self._answers.waiting_count())
        chats = await self._answers.chats_to_claim(AT_ONCE)
        if chats:
            self._engine.lapsed = await self._answers.lapsed()
        for chat_id in chats:
            self._engine.look_for_work(chat_id)

    async def _hear_stops(self) -> None:
        async with self._coordination.subscribe(STOP_TOPIC) as events:
            async for signal in events:
                self._engine.stop(str(signal.event.get("answer")))

    async def _hear_wakes(self) -> None:
        async with self._coordination.subscribe(WAKE_TOPIC) as events:
            async for signal in events:
                self._engine.look_for_work(str(signal.event.get("chat")))

    async def _tell_texts(self) -> None:
        """Whoever comes in mid-answer asks how far it is; the process that writes it says so."""
        async with self._coordination.subscribe(TEXT_REQUEST_TOPIC) as events:
            async for signal in events:
                run = self._engine.running.get(str(signal.event.get("answer")))
                if run is not None:
                    so_far = {
                        "message": run.answer.id,
                        "attempt": run.answer.attempt,
                        "text": "".join(run.text),
                    }
                    await self._coordination.publish(str(signal.event.get("to")), so_far)


async def _for_ever(
    work: Callable[[], Awaitable[None]], every: float, sooner: asyncio.Event | None = None
) -> None:
    sooner = sooner or asyncio.Event()
    while True:
        sooner.clear()
        try:
            await work()
        except StorageError as error:
            log.warning("storage_unreachable", reason=str(error))
        except Exception:
            log.exception("sweep_failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every * random.uniform(0.9, 1.1)):
                await sooner.wait()
