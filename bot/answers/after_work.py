"""After-work: what is done for an answer besides its text, done by any process while the chat continues.

Each piece is a `Chore`, a row that exists until it is done (`storage.chores`). The process that adds a chore does it
immediately, and the sweep finds chores that a process left behind. A claim ensures that only one process at a time does
a chore.

    added ──claim──▶ being done ──DONE──▶ (no row)
      ▲                  │
      ├────── LATER ─────┤     another answer of the chat must end first
      └─ error, timeout ─┘     after a pause that grows; dropped after `MAX_TRIES` unless the answer waits for it
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from bot.answers.lease import ClockReading
from bot.answers.storage_retry import until_stored
from bot.domain import Answer, Chat
from bot.domain.chores import Chore
from bot.errors import ChatNotFound, StorageError
from bot.observability import get_logger, log_context
from bot.runtime.tasks import KeyedLocks, Tasks
from bot.timing import Timing
from storage.answers import Answers
from storage.chats import Chats
from storage.chores import Chores, ClaimedChore, Share

log = get_logger(__name__)

_LOOK_LATER = frozenset({Chore.FIND_STRAYS, Chore.WRITE_AGAIN})
"""Due only once no call of a dead worker can still take effect, however they are added."""
MAX_TRIES = 100
"""A chore is dropped after this many failures; with the pauses in between that takes a day."""
MAX_PAUSE = 900.0
"""The longest pause between two attempts, in seconds."""
CLAIM_MARGIN = 10.0
"""Seconds by which a claim outlasts the work: no other process begins while a call may still be in progress."""
MAX_PLACES = 400
"""The most answers whose chores the sweep of one process may have in progress, besides one of each workspace that has
none; other processes or later sweeps do the rest.
"""
MAX_PLACES_OF_TEAM = 40
"""The most of these that may belong to one workspace: while its Slack hangs, the chores of all others are still done
promptly.
"""
MAX_BEGUN = 60
"""The most answers whose chores one sweep starts: after an outage thousands may be due, and they must not delay
answers.
"""
MAX_BEGUN_OF_TEAM = 10
"""The most of these that may belong to one workspace."""


class ChoreOutcome(Enum):
    """How a chore ended."""

    DONE = auto()
    """It is done, or no longer needed."""
    FAILED = auto()
    """It may succeed after a pause."""
    LATER = auto()
    """It must wait until the chat's other answers have ended."""


@dataclass(frozen=True, slots=True)
class ChoreResult:
    outcome: ChoreOutcome
    then: tuple[Chore, ...] = ()
    """The chores that become due when it is done."""


DONE = ChoreResult(ChoreOutcome.DONE)
FAILED = ChoreResult(ChoreOutcome.FAILED)
LATER = ChoreResult(ChoreOutcome.LATER)


@dataclass(frozen=True, slots=True)
class ChoreJob:
    """A chore with what is known about its answer."""

    chat: Chat
    answer: Answer
    again: bool
    """Whether an earlier attempt may have taken effect."""
    tries: int
    """How often it has been attempted, including this time."""
    confirm: Callable[[], Awaitable[None]]
    """Returns while this process may work on the chore; awaited before each visible change."""


DoChore = Callable[[ChoreJob], Awaitable[ChoreResult]]
IsNeeded = Callable[[str], Awaitable[bool]]
"""Whether the answer with this id waits for a chore, which is then never dropped. Raises StorageError."""


class AfterWork:
    """Does chores, each by one process at a time and within `Timing.chore_timeout`."""

    def __init__(
        self,
        chores: Chores,
        chats: Chats,
        answers: Answers,
        tasks: Tasks,
        timing: Timing,
        worker_id: str,
    ) -> None:
        """`worker_id`: the worker that does chores here."""
        self._worker_id = worker_id
        self._chores = chores
        self._chats = chats
        self._answers = answers
        self._tasks = tasks
        self._timing = timing
        self._late_effects = {
            Chore.SHOW_QUESTION: timing.late_effect,
            Chore.SHOW_TRANSCRIPT: timing.late_effect,
            Chore.SHOW_PICTURES: timing.late_effect,
            Chore.SHOW_APPROVALS: timing.late_effect,
            Chore.SHOW_DECISIONS: timing.late_effect,
        }
        """Seconds in which a call of a try may still take effect, for chores whose second effect would be visible."""
        self._effects_of_ended = self._late_effects | {Chore.SHOW_QUESTION: timing.question_pause}
        """The same, where the process that made the call has ended. The answer waits for its question so long."""
        self._functions: dict[Chore, DoChore] = {}
        self._needed: dict[Chore, IsNeeded] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._claimed: set[ClaimedChore] = set()
        """The chores that this process is doing."""
        self._unconfirmed: dict[str, ClockReading] = {}
        """Answers whose chores this process may have claimed without learning of it, and when."""
        self._claiming = KeyedLocks[str]()
        """By the answer's id: all that this process has claimed of one is in `_claimed`, or it is in `_unconfirmed`."""
        self._places: Counter[str] = Counter()
        """How many answers of each workspace the sweep has under way."""
        self._closing = False

    def write_again(self, wake: Callable[[str], None]) -> DoChore:
        """Does `Chore.WRITE_AGAIN`: the worker that claims the answer writes its stored text into its messages.

        `wake`: called with the id of a chat that has an answer to be claimed.
        """

        async def do(job: ChoreJob) -> ChoreResult:
            chat_id = await self._chores.show_again(job.answer.id)
            if chat_id is not None:
                wake(chat_id)
            return DONE

        return do

    def register(
        self, functions: Mapping[Chore, DoChore], needed: Mapping[Chore, IsNeeded] | None = None
    ) -> None:
        """Sets the functions that do these chores. `needed`: functions that say whether a chore must not be dropped."""
        self._functions |= functions
        self._needed |= needed or {}

    def start(self, answer_id: str, only: Chore | None = None) -> asyncio.Task[None]:
        """Starts the due chores of an answer. Returns immediately; the task ends when they are done. `only`: just this
        chore, which somebody waits for.
        """
        return self._run(self._do_due(answer_id, only), "after-work")

    def start_until_shown(self, answer_id: str) -> asyncio.Task[None]:
        """Shows the answer's question, retrying until it is shown, because an earlier process may have begun to show
        it.
        """
        return self._run(self._until_shown(answer_id), "question")

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Does the chore until it is done, or this process ends."""
        task = self._tasks.start(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self._closing:
            task.cancel()
        return task

    async def _until_shown(self, answer_id: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.question_resumed_timeout):
                while True:
                    await asyncio.wait([self.start(answer_id, Chore.SHOW_QUESTION)])
                    if not await self._chores.is_left(answer_id, Chore.SHOW_QUESTION):
                        return
                    await asyncio.sleep(self._timing.turn_poll_interval)

    async def take_from_dead(self, is_dead: Callable[[str], bool]) -> None:
        """Immediately releases the chores that dead processes had claimed."""
        for worker_id in await self._chores.worker_ids():
            if is_dead(worker_id):
                await self._chores.release(worker_id, self._effects_of_ended)

    async def sweep(self) -> None:
        """Starts due chores that no process is doing: their process has ended, or their pause is over.

        When no place is left, only workspaces without any get one, so however many others hang, none waits for them.
        """
        room = min(MAX_BEGUN, MAX_PLACES - self._places.total())
        share = Share(MAX_PLACES_OF_TEAM, MAX_BEGUN_OF_TEAM)
        if room <= 0:
            room, share = MAX_BEGUN, Share(places=1, begun=1)
        unconfirmed = [id for id in self._unconfirmed if not self._claiming[id].locked()]
        for due in await self._chores.due(room, share, self._places, unconfirmed):
            self._begin(due.id, due.team)
        self._forget_lapsed()

    def _forget_lapsed(self) -> None:
        """Claims that have lapsed since: the rest of their chores is due for everybody."""
        lapsed = [
            id for id, since in self._unconfirmed.items() if since.age() > self._claim_seconds
        ]
        for answer_id in lapsed:
            del self._unconfirmed[answer_id]

    @property
    def _claim_seconds(self) -> float:
        """How long a claim on a chore lasts."""
        return self._timing.chore_timeout + CLAIM_MARGIN

    def _begin(self, answer_id: str, team: str) -> None:
        """Takes a slot of the workspace."""
        self._places[team] += 1
        self.start(answer_id).add_done_callback(partial(self._leave_place, team))

    def _leave_place(self, team: str, _: asyncio.Task[None]) -> None:
        self._places -= Counter([team])  # forgets workspaces without any

    async def close(self) -> None:
        """Stops, and leaves unfinished chores to other processes and the next start.

        If the database is down, the claims on them lapse.
        """
        self._closing = True
        for task in self._running:
            task.cancel()
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(self._timing.database_lease_timeout):
                if self._running:
                    await asyncio.wait(self._running)
                if self._claimed:
                    await self._chores.unclaim(self._claimed, self._effects_of_ended)

    async def _claim(self, answer_id: str, only: Chore | None) -> Sequence[ClaimedChore]:
        """Claims the answer's due chores. A cancelled caller waits for the outcome, so that `close` gives it back."""
        claim = asyncio.ensure_future(self._claim_noted(answer_id, only))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            with suppress(StorageError):
                await claim
            raise

    async def _claim_noted(self, answer_id: str, only: Chore | None) -> Sequence[ClaimedChore]:
        async with self._claiming[answer_id]:
            if answer_id in self._unconfirmed:
                await self._unclaim_unconfirmed(answer_id)
            try:
                claimed = await self._chores.claim(
                    answer_id, self._claim_seconds, self._worker_id, only
                )
            except StorageError:
                self._unconfirmed[answer_id] = ClockReading()
                raise
            self._claimed.update(claimed)
        return claimed

    async def _unclaim_unconfirmed(self, answer_id: str) -> None:
        """Releases chores of the answer that this process claimed without learning of it. It has not started them."""
        known = [each.chore for each in self._claimed if each.answer_id == answer_id]
        await self._chores.release(self._worker_id, {}, answer_id=answer_id, known=known)
        self._unconfirmed.pop(answer_id, None)

    async def _do_due(self, answer_id: str, only: Chore | None) -> None:
        since = ClockReading()
        claimed = await self._claim(answer_id, only)
        if not claimed:
            return
        try:
            answer = await until_stored(lambda: self._answers.get(answer_id), answer_id)
            chat = await until_stored(lambda: self._chats.get(answer.chat_id), answer_id)
            with log_context(team=chat.team, answer=answer_id):
                await asyncio.gather(*(self._do(each, chat, answer, since) for each in claimed))
        except ChatNotFound:
            log.info("chores_without_answer", answer=answer_id)
        finally:
            if not self._closing:
                self._claimed.difference_update(claimed)

    async def _do(
        self, claimed: ClaimedChore, chat: Chat, answer: Answer, since: ClockReading
    ) -> None:
        async def confirm() -> None:
            if since.age() > self._timing.chore_timeout:
                raise asyncio.CancelledError

        again = claimed.tries > 1 or answer.attempt > 1
        job = ChoreJob(chat, answer, again=again, tries=claimed.tries, confirm=confirm)
        result = await self._attempt(claimed.chore, job)
        await until_stored(lambda: self._settle(claimed, result), answer.id)
        self._claimed.discard(claimed)
        if result.then:
            self.start(answer.id)

    async def _attempt(self, chore: Chore, job: ChoreJob) -> ChoreResult:
        try:
            async with asyncio.timeout(self._timing.chore_timeout):
                return await self._functions[chore](job)
        except TimeoutError:
            log.info("chore_timed_out", chore=chore)
        except Exception as error:  # whatever happened, the other chores must not suffer
            log.warning("chore_failed", chore=chore, reason=type(error).__name__)
        return FAILED

    async def _settle(self, claimed: ClaimedChore, result: ChoreResult) -> None:
        if result.outcome is ChoreOutcome.LATER:
            await self._chores.postpone(claimed, self._timing.chore_busy_pause, counted=False)
        elif result.outcome is ChoreOutcome.FAILED and await self._is_tried_again(claimed):
            pause = min(MAX_PAUSE, self._timing.chore_pause * 2 ** (claimed.tries - 1))
            late_effect = self._late_effects.get(claimed.chore, 0.0)
            counted = claimed.tries < MAX_TRIES
            await self._chores.postpone(claimed, max(pause, late_effect), counted=counted)
        else:
            if result.outcome is ChoreOutcome.FAILED:
                log.warning("chore_dropped", chore=claimed.chore)
            then = {chore: self._delay_of(chore) for chore in result.then}
            await self._chores.complete(claimed, then, self._delay_of(claimed.chore))

    def _delay_of(self, chore: Chore) -> float:
        """Seconds until a follow-up chore is due."""
        return self._timing.late_effect if chore in _LOOK_LATER else 0.0

    async def _is_tried_again(self, claimed: ClaimedChore) -> bool:
        needed = self._needed.get(claimed.chore)
        if claimed.tries < MAX_TRIES:
            return True
        return needed is not None and await needed(claimed.answer_id)
