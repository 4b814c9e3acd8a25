"""Chores whose claim is stored while their process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bot.answers.after_work import DONE, AfterWork, ChoreJob, ChoreResult
from bot.chores import Chore
from bot.domain import ModelRef
from bot.tasks import Tasks
from storage.answers import Answers
from storage.chats import Chats
from storage.chores import Chores, ClaimedChore, add_chores
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.deadlines import WAIT_TIMEOUT, patient_timing


class HeardLate(Chores):
    """A database that has stored a claim, and says so a moment later."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.stored = asyncio.Event()

    async def claim(
        self, answer_id: str, seconds: float, worker_id: str | None = None
    ) -> list[ClaimedChore]:
        claimed = await super().claim(answer_id, seconds, worker_id)
        self.stored.set()
        await asyncio.sleep(0.05)
        return claimed


async def do_nothing(job: ChoreJob) -> ChoreResult:
    return DONE


async def test_what_is_claimed_while_a_process_ends_is_given_back(migrated_url: str) -> None:
    """Else nobody would do it before the claim lapses."""
    database = Database.open(migrated_url)
    chats, answers, late = Chats(database), Answers(database), HeardLate(database)
    said = await chats.start(
        team="T1", owner="U1", model=ModelRef("openai", "gpt"), message=NewMessage("Hello", "U1")
    )
    due: Mapping[Chore, float] = {Chore.HIDE_STOP: 0.0}
    async with database.begin() as connection:
        await add_chores(connection, said.answer.id, due)
    async with asyncio.timeout(WAIT_TIMEOUT), Tasks() as tasks:
        after_work = AfterWork(late, chats, answers, tasks, patient_timing(), "here:1:0")
        after_work.register({Chore.HIDE_STOP: do_nothing})
        after_work.start(said.answer.id)
        await late.stored.wait()
        await after_work.close()
    left = await Chores(database).claim(said.answer.id, 60.0)
    assert [claimed.chore for claimed in left] == [Chore.HIDE_STOP]
    await database.close()
