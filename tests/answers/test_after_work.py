"""Chores whose claim is stored while their process ends, or without its learning of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from bot.answers.after_work import (
    DONE,
    FAILED,
    MAX_BEGUN_OF_TEAM,
    MAX_PLACES,
    AfterWork,
    ChoreJob,
    ChoreResult,
    DoChore,
)
from bot.domain import ModelRef
from bot.domain.chores import Chore
from bot.errors import StorageError
from bot.runtime.tasks import Tasks
from storage.answers import Answers
from storage.chats import Chats
from storage.chores import Chores, ClaimedChore
from storage.engine.database import Database
from storage.messages import NewMessage
from storage.statements.chores import add_chores
from tests.deadlines import WAIT_TIMEOUT, patient_timing, until


class HeardLate(Chores):
    """A database that stores a claim and confirms it a moment later."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.stored = asyncio.Event()

    async def claim(
        self,
        answer_id: str,
        seconds: float,
        worker_id: str | None = None,
        only: Chore | None = None,
    ) -> list[ClaimedChore]:
        claimed = await super().claim(answer_id, seconds, worker_id, only)
        self.stored.set()
        await asyncio.sleep(0.05)
        return claimed


async def do_nothing(job: ChoreJob) -> ChoreResult:
    return DONE


class Unheard(Chores):
    """A database that stores some claims and then breaks the connection before confirming."""

    losses = 0

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.writable = asyncio.Event()
        self.writable.set()

    async def claim(
        self,
        answer_id: str,
        seconds: float,
        worker_id: str | None = None,
        only: Chore | None = None,
    ) -> list[ClaimedChore]:
        claimed = await super().claim(answer_id, seconds, worker_id, only)
        if self.losses:
            self.losses -= 1
            raise StorageError("the connection broke")
        return claimed

    async def release(self, worker_id: str, *args: Any, **kwargs: Any) -> None:
        await self.writable.wait()
        await super().release(worker_id, *args, **kwargs)


@dataclass
class Scene:
    """An answer, whose chores the test adds."""

    database: Database
    chats: Chats
    answers: Answers
    answer_id: str

    async def add(self, *added: Chore, answer_id: str | None = None) -> None:
        async with self.database.begin() as connection:
            await add_chores(connection, answer_id or self.answer_id, dict.fromkeys(added, 0.0))

    async def another(self, team: str) -> str:
        """An answer in a chat of this workspace, with a chore."""
        model = ModelRef("openai", "gpt")
        new = NewMessage("Hello", "U1")
        said = await self.chats.start(team=team, owner="U1", model=model, message=new)
        await self.add(Chore.HIDE_STOP, answer_id=said.answer.id)
        return said.answer.id

    def after_work(self, chores: Chores, tasks: Tasks, do: Mapping[Chore, DoChore]) -> AfterWork:
        made = AfterWork(chores, self.chats, self.answers, tasks, patient_timing(), "here:1:0")
        made.register(do)
        return made


@asynccontextmanager
async def scene(url: str) -> AsyncIterator[Scene]:
    database = Database.open(url, timing=patient_timing())
    chats, answers = Chats(database), Answers(database)
    said = await chats.start(
        team="T1", owner="U1", model=ModelRef("openai", "gpt"), message=NewMessage("Hello", "U1")
    )
    async with asyncio.timeout(WAIT_TIMEOUT):
        yield Scene(database, chats, answers, said.answer.id)
    await database.close()


async def test_what_is_claimed_while_a_process_ends_is_given_back(migrated_url: str) -> None:
    """Otherwise nobody would do it before the claim lapses."""
    async with scene(migrated_url) as at, Tasks() as tasks:
        late = HeardLate(at.database)
        await at.add(Chore.HIDE_STOP)
        after_work = at.after_work(late, tasks, {Chore.HIDE_STOP: do_nothing})
        after_work.start(at.answer_id)
        await late.stored.wait()
        await after_work.close()
        left = await Chores(at.database).claim(at.answer_id, 60.0)
        assert [claimed.chore for claimed in left] == [Chore.HIDE_STOP]


async def test_nothing_is_done_for_an_answer_once_a_process_has_ended(migrated_url: str) -> None:
    """Not even by a caller that waits until its question is shown, or starts something later."""
    async with scene(migrated_url) as at, Tasks() as tasks:
        tried = list[ChoreJob]()

        async def fail(job: ChoreJob) -> ChoreResult:
            tried.append(job)
            return FAILED

        await at.add(Chore.SHOW_QUESTION)
        chores = Chores(at.database)
        after_work = at.after_work(chores, tasks, {Chore.SHOW_QUESTION: fail})
        waiting = after_work.start_until_shown(at.answer_id)
        await until(lambda: len(tried) > 0)
        await after_work.close()
        before = len(tried)
        assert waiting.done()
        (refused,) = await asyncio.gather(after_work.start(at.answer_id), return_exceptions=True)
        assert isinstance(refused, asyncio.CancelledError)
        assert len(tried) == before
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "question"]


async def test_an_unconfirmed_claim_is_found_by_its_own_process(
    migrated_url: str,
) -> None:
    """In the next sweep, not when the claim lapses; chores in progress are not done twice."""
    done, goes_on = list[Chore](), asyncio.Event()

    async def title(job: ChoreJob) -> ChoreResult:
        done.append(Chore.TITLE)
        return DONE

    async def slow(job: ChoreJob) -> ChoreResult:
        done.append(Chore.HIDE_STOP)
        await goes_on.wait()
        return DONE

    async with scene(migrated_url) as at, Tasks() as tasks:
        unheard = Unheard(at.database)
        after_work = at.after_work(unheard, tasks, {Chore.TITLE: title, Chore.HIDE_STOP: slow})
        await at.add(Chore.HIDE_STOP)
        working = after_work.start(at.answer_id)
        while not done:
            await asyncio.sleep(0.01)
        await at.add(Chore.TITLE)
        unheard.losses = 2
        await asyncio.wait([after_work.start(at.answer_id)])
        while done[1:] != [Chore.TITLE]:
            assert done == [Chore.HIDE_STOP]
            await after_work.sweep()
            await asyncio.sleep(0.01)
        goes_on.set()
        await working
        await after_work.sweep()
    assert done == [Chore.HIDE_STOP, Chore.TITLE]


async def test_sweeps_do_not_queue_up_while_a_database_reads_and_does_not_write(
    migrated_url: str,
) -> None:
    async with scene(migrated_url) as at, Tasks() as tasks:
        unheard = Unheard(at.database)
        after_work = at.after_work(unheard, tasks, {Chore.HIDE_STOP: do_nothing})
        await at.add(Chore.HIDE_STOP)
        unheard.losses = 1
        unheard.writable.clear()
        await asyncio.wait([after_work.start(at.answer_id)])
        for _ in range(5):
            await after_work.sweep()
            await asyncio.sleep(0.01)
        (trying,) = (task for task in asyncio.all_tasks() if task.get_name() == "after-work")
        unheard.writable.set()
        await asyncio.wait([trying])
        assert not await Chores(at.database).is_left(at.answer_id, Chore.HIDE_STOP)


async def test_unconfirmed_claims_of_one_workspace_leave_room_for_others(
    migrated_url: str,
) -> None:
    begun, goes_on = list[str](), asyncio.Event()

    async def slow(job: ChoreJob) -> ChoreResult:
        begun.append(job.chat.team)
        await goes_on.wait()
        return DONE

    async with scene(migrated_url) as at, Tasks() as tasks:
        unheard = Unheard(at.database)
        after_work = at.after_work(unheard, tasks, {Chore.HIDE_STOP: slow})
        crowd = [await at.another("T1") for _ in range(MAX_BEGUN_OF_TEAM + 3)]
        claimed = [*crowd, await at.another("T2")]
        unheard.losses = len(claimed)
        await asyncio.wait([after_work.start(answer_id) for answer_id in claimed])
        assert not begun
        await after_work.sweep()
        await until(lambda: len(begun) == MAX_BEGUN_OF_TEAM + 1)
        assert begun.count("T2") == 1
        goes_on.set()
        while len(begun) < len(claimed):
            await after_work.sweep()
            await asyncio.sleep(0.01)


HANGING = 100
"""Workspaces."""


@pytest.mark.slow
async def test_a_workspace_is_served_while_a_hundred_others_hang(migrated_url: str) -> None:
    """They take all places that a process has."""
    begun, done, goes_on = list[str](), list[str](), asyncio.Event()

    async def hang(job: ChoreJob) -> ChoreResult:
        begun.append(job.chat.team)
        if job.chat.team.startswith("HANGING"):
            await goes_on.wait()
        done.append(job.chat.team)
        return DONE

    async with scene(migrated_url) as at, Tasks() as tasks:
        after_work = at.after_work(Chores(at.database), tasks, {Chore.HIDE_STOP: hang})
        for number in range(MAX_PLACES + HANGING):
            await at.another(f"HANGING{number % HANGING}")
        while len(begun) < MAX_PLACES:
            await after_work.sweep()
            await asyncio.sleep(0.01)
        well = [await at.another("WELL") for _ in range(3)]
        while len(done) < len(well):
            await after_work.sweep()
            await asyncio.sleep(0.01)
        assert done == ["WELL"] * len(well)
        assert len(begun) == MAX_PLACES + len(well)
        goes_on.set()
