"""Chores: one of many processes does each, those of a dead one are done by another, and those added anew count anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from sqlalchemy import select

from bot.domain import Answer, AnswerResult, Chore, MessageRef, Status
from storage.answers import Answers
from storage.chores import Chores, ClaimedChore, add_chores
from storage.engine.database import Database
from storage.tables import chores
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

WORKERS = 20
LONG = 60.0
"""Seconds of a claim that does not end within a test."""


@pytest.fixture
async def answer(builder: ChatBuilder) -> Answer:
    return await builder.answer((await builder.start()).chat)


async def _add(database: Database, answer: Answer, added: Mapping[Chore, float]) -> None:
    async with database.begin() as connection:
        await add_chores(connection, answer.id, added)


async def _kinds(database: Database, answer: Answer) -> set[str]:
    async with database.read() as connection:
        query = select(chores.c.kind).where(chores.c.message_id == answer.id)
        return set(await connection.scalars(query))


async def _race(rivals: list[Database], answer: Answer) -> list[ClaimedChore]:
    """What all workers together get when they claim at once."""
    claims = await asyncio.gather(
        *(Chores(rivals[number % len(rivals)]).claim(answer.id, LONG) for number in range(WORKERS))
    )
    return [each for claim in claims for each in claim]


async def test_each_chore_goes_to_one_of_many_workers(
    rivals: list[Database], answer: Answer
) -> None:
    await _add(rivals[0], answer, dict.fromkeys(Chore, 0.0))
    got = await _race(rivals, answer)
    assert sorted(got, key=str) == sorted((ClaimedChore(answer.id, c, 1) for c in Chore), key=str)
    assert await Chores(rivals[0]).due(10) == []


async def test_a_chore_of_a_dead_worker_goes_to_one_of_many(
    rivals: list[Database], answer: Answer
) -> None:
    await _add(rivals[0], answer, {Chore.TITLE: 0.0})
    (dead,) = await Chores(rivals[0]).claim(answer.id, 0.0)
    assert await Chores(rivals[0]).due(10) == [answer.id]
    (taken,) = await _race(rivals, answer)
    assert (dead.tries, taken.tries) == (1, 2)
    await Chores(rivals[1]).complete(dead, then=[Chore.SHOW_TITLE])
    await Chores(rivals[1]).postpone(dead, 0.0)
    assert await _kinds(rivals[0], answer) == {Chore.TITLE, Chore.SHOW_TITLE}
    assert [each.chore for each in await _race(rivals, answer)] == [Chore.SHOW_TITLE]
    await Chores(rivals[2]).complete(taken)
    assert await _kinds(rivals[0], answer) == {Chore.SHOW_TITLE}


async def test_a_chore_is_not_claimed_before_it_is_due(database: Database, answer: Answer) -> None:
    await _add(database, answer, {Chore.TITLE: LONG, Chore.CLEAR_STATUS: 0.0})
    got = await Chores(database).claim(answer.id, LONG)
    assert [each.chore for each in got] == [Chore.CLEAR_STATUS]


@pytest.mark.parametrize(("counted", "tries"), [(True, 2), (False, 1)])
async def test_a_postponed_chore_is_claimed_again(
    database: Database, answer: Answer, counted: bool, tries: int
) -> None:
    await _add(database, answer, {Chore.TITLE: 0.0})
    (first,) = await Chores(database).claim(answer.id, LONG)
    await Chores(database).postpone(first, 0.0, counted=counted)
    (second,) = await Chores(database).claim(answer.id, LONG)
    assert second == ClaimedChore(answer.id, Chore.TITLE, tries)


async def test_a_chore_that_is_added_while_it_is_done_is_done_once_more_afterwards(
    database: Database, answer: Answer
) -> None:
    await _add(database, answer, {Chore.TITLE: 0.0})
    (first,) = await Chores(database).claim(answer.id, LONG)
    await _add(database, answer, {Chore.TITLE: 0.0})
    assert await Chores(database).claim(answer.id, LONG) == []
    await Chores(database).complete(first)
    assert await _kinds(database, answer) == {Chore.TITLE}


async def test_workers_that_add_and_claim_at_once_do_not_block_each_other(
    rivals: list[Database], answer: Answer
) -> None:
    """Each adds the same chores in another order, claims what it gets, and completes that."""
    kinds = list(Chore)[:4]

    async def work(number: int) -> None:
        database = rivals[number % len(rivals)]
        shifted = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
        await _add(database, answer, dict.fromkeys(shifted, 0.0))
        for claimed in await Chores(database).claim(answer.id, LONG):
            await Chores(database).complete(claimed)

    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(work(number) for number in range(2 * len(kinds))))


async def test_due_answers_are_listed_once_the_longest_waiting_first(
    database: Database, builder: ChatBuilder
) -> None:
    ended = [await builder.answer((await builder.start(f"{n}.0")).chat) for n in range(3)]
    for answer in reversed(ended):
        await _add(database, answer, {Chore.TITLE: 0.0, Chore.CLEAR_STATUS: 0.0})
    assert await Chores(database).due(100) == [answer.id for answer in reversed(ended)]


async def test_a_chore_of_a_newer_version_is_left_to_it(database: Database, answer: Answer) -> None:
    await _add(database, answer, {Chore.TITLE: 0.0})
    async with database.begin() as connection:
        await connection.execute(chores.update().values(kind="dance"))
    assert await Chores(database).due(10) == []
    assert await Chores(database).claim(answer.id, LONG) == []
    assert await _kinds(database, answer) == {"dance"}


async def test_an_answer_is_shown_again_by_one_worker(
    rivals: list[Database], answers: Answers, answer: Answer
) -> None:
    shown = await asyncio.gather(*(Chores(rivals[n % 3]).show_again(answer.id) for n in range(9)))
    assert sorted(map(str, shown)) == sorted([answer.chat_id, *["None"] * 8])
    claims = await asyncio.gather(
        *(
            Answers(rivals[number % 3]).claim(answer.chat_id, f"worker {number}", LONG)
            for number in range(WORKERS)
        )
    )
    (claimed,) = [claim for claim in claims if claim is not None]
    assert (claimed.id, claimed.status, claimed.text) == (answer.id, Status.DONE, "well")
    assert await Chores(rivals[0]).show_again(answer.id) is None
    assert claimed.worker_id is not None
    assert await answers.finish(answer.id, claimed.worker_id)


async def test_leftovers_are_forgotten_once_the_answer_has_ended(
    database: Database, answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    claimed = await answers.claim(chat.id, "writer", LONG)
    assert claimed is not None
    kept, left = MessageRef("1.0", streaming=False), MessageRef("2.0", False, leftover=True)
    assert await answers.save_slack_messages(claimed.id, "writer", (kept, left))
    await Chores(database).forget_leftovers(claimed.id)
    assert (await answers.get(claimed.id)).slack_messages == (kept, left)
    assert await answers.save_result(claimed.id, "writer", AnswerResult(Status.DONE, "well"))
    assert await answers.finish(claimed.id, "writer")
    await Chores(database).forget_leftovers(claimed.id)
    assert (await answers.get(claimed.id)).slack_messages == (kept,)
