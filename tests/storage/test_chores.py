"""Chores: only one process does each, those of a dead process are done by another, and chores added again start
over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from sqlalchemy import select, text, update

from bot.domain import Answer, AnswerResult, MessageRef, Status
from bot.domain.chores import Chore
from bot.domain.steps import Step, StepKind, StepStatus
from storage.answers import Answers
from storage.chores import Chores, ClaimedChore, Share
from storage.engine.database import Database
from storage.statements.chores import add_chores
from storage.statements.rows import parts_to_json
from storage.statements.steps import add_steps
from storage.tables import answer_steps, chores
from storage.tables import answers as answer_rows
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


async def _due(
    database: Database,
    limit: int = 100,
    share: int = 100,
    places: Mapping[str, int] | None = None,
    begun: int = 100,
) -> list[str]:
    due = await Chores(database).due(limit, Share(share, begun), places or {})
    return [each.id for each in due]


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
    assert await _due(rivals[0]) == []


async def test_a_chore_of_a_dead_worker_goes_to_one_of_many(
    rivals: list[Database], answer: Answer
) -> None:
    await _add(rivals[0], answer, {Chore.TITLE: 0.0})
    (dead,) = await Chores(rivals[0]).claim(answer.id, 0.0)
    assert await _due(rivals[0]) == [answer.id]
    (taken,) = await _race(rivals, answer)
    assert (dead.tries, taken.tries) == (1, 2)
    await Chores(rivals[1]).complete(dead, then={Chore.SHOW_TITLE: 0.0})
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
    """Each adds the same chores in a different order, claims what it gets, and completes that."""
    kinds = list(Chore)[:4]

    async def work(number: int) -> None:
        database = rivals[number % len(rivals)]
        shifted = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
        await _add(database, answer, dict.fromkeys(shifted, 0.0))
        for claimed in await Chores(database).claim(answer.id, LONG):
            await Chores(database).complete(claimed)

    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(work(number) for number in range(2 * len(kinds))))


async def test_a_chore_that_is_added_again_while_it_is_done_follows_at_once(
    database: Database, answer: Answer
) -> None:
    """Not only when the claim on it would have lapsed; but not before its call can no longer take effect."""
    chores = Chores(database)
    for again, due in ((0.0, [answer.id]), (LONG, [])):
        await _add(database, answer, {Chore.CLEAR_STATUS: 0.0})
        (claimed,) = await chores.claim(answer.id, LONG)
        await _add(database, answer, {Chore.CLEAR_STATUS: 0.0})
        assert await _due(database) == []
        await chores.complete(claimed, again=again)
        assert await _due(database) == due
        await chores.claim(answer.id, 0.0)


@pytest.mark.parametrize("counted", [True, False])
async def test_a_chore_that_is_added_again_while_it_fails_starts_over(
    database: Database, answer: Answer, counted: bool
) -> None:
    chores = Chores(database)
    await _add(database, answer, {Chore.CLEAR_STATUS: 0.0})
    (claimed,) = await chores.claim(answer.id, LONG)
    await _add(database, answer, {Chore.CLEAR_STATUS: 0.0})
    await chores.postpone(claimed, 0.0, counted=counted)
    assert await chores.claim(answer.id, LONG) == [ClaimedChore(answer.id, Chore.CLEAR_STATUS, 1)]


async def test_due_answers_are_listed_once_the_longest_waiting_first(
    database: Database, builder: ChatBuilder
) -> None:
    ended = [await builder.answer((await builder.start(f"{n}.0")).chat) for n in range(3)]
    for answer in reversed(ended):
        await _add(database, answer, {Chore.TITLE: 0.0, Chore.CLEAR_STATUS: 0.0})
    assert await _due(database) == [answer.id for answer in reversed(ended)]


async def test_no_workspace_takes_the_places_of_another(
    database: Database, builder: ChatBuilder
) -> None:
    """T1's answers have waited longer than all others; T2 has two, T3 one."""
    due = []
    for number, team in enumerate(["T1"] * 12 + ["T2", "T3", "T2"]):
        answer = await builder.answer((await builder.start(f"{number}.0", team=team)).chat)
        await _add(database, answer, dict.fromkeys([Chore.TITLE, Chore.END_SESSION], number - 60.0))
        due.append(answer.id)
    first, second, third = due[:3]
    of_two, of_three, more_of_two = due[12:]
    fair = [first, of_two, of_three, second, more_of_two, third, due[3]]
    assert await _due(database, share=4) == fair
    assert await _due(database, limit=5, share=4) == fair[:5]
    others = [of_two, of_three, more_of_two]
    assert await _due(database, share=4, begun=2) == [*fair[:5]]
    assert await _due(database, share=4, places={"T1": 3}) == [*others, first]
    assert await _due(database, share=4, places={"T1": 4}) == others
    assert await _due(database, share=4, places={"T1": 9, "T2": 3}) == [of_three, of_two]


async def test_what_a_dead_worker_was_doing_is_free_at_once(
    rivals: list[Database], answer: Answer
) -> None:
    """Some of it only later; chores that it had postponed keep their pause, and other workers keep theirs."""
    dead, living = Chores(rivals[0]), Chores(rivals[1])
    await _add(rivals[0], answer, {Chore.SHOW_TITLE: 0.0})
    (put_off,) = await dead.claim(answer.id, LONG, "dead")
    await dead.postpone(put_off, LONG)
    await _add(rivals[0], answer, {Chore.REMOVE_QUEUED_REACTION: 0.0})
    await living.claim(answer.id, LONG, "living")
    await _add(rivals[0], answer, {Chore.SHOW_QUESTION: 0.0, Chore.TITLE: 0.0})
    await dead.claim(answer.id, LONG, "dead")
    assert await living.worker_ids() == {"dead", "living"}

    await living.release("dead", {Chore.SHOW_QUESTION: LONG})

    assert await living.worker_ids() == {"living"}
    assert await living.claim(answer.id, LONG) == [ClaimedChore(answer.id, Chore.TITLE, 2)]


async def test_claims_are_given_back_together(
    rivals: list[Database], builder: ChatBuilder, answer: Answer
) -> None:
    """Some may be claimed only later, and chores that another worker now has stay with it."""
    other = await builder.answer((await builder.start("200.1")).chat)
    await _add(rivals[0], answer, {Chore.SHOW_QUESTION: 0.0, Chore.REMOVE_QUEUED_REACTION: 0.0})
    await _add(rivals[0], other, {Chore.REMOVE_QUEUED_REACTION: 0.0, Chore.TITLE: 0.0})
    (lapsed,) = [
        each
        for each in await Chores(rivals[0]).claim(other.id, 0.0)
        if each.chore is Chore.REMOVE_QUEUED_REACTION
    ]
    (kept,) = [
        each
        for each in await Chores(rivals[1]).claim(other.id, LONG)
        if each.chore is Chore.REMOVE_QUEUED_REACTION
    ]
    claims = await Chores(rivals[0]).claim(answer.id, LONG)
    await Chores(rivals[0]).unclaim([*claims, lapsed], {Chore.SHOW_QUESTION: LONG})
    assert await _due(rivals[0]) == [answer.id]
    again = await Chores(rivals[1]).claim(answer.id, LONG)
    assert again == [ClaimedChore(answer.id, Chore.REMOVE_QUEUED_REACTION, 2)]
    await Chores(rivals[1]).unclaim([kept, *again], {})
    assert set(await _due(rivals[0])) == {answer.id, other.id}


async def test_a_chore_of_a_newer_version_is_left_to_it(database: Database, answer: Answer) -> None:
    await _add(database, answer, {Chore.TITLE: 0.0})
    async with database.begin() as connection:
        await connection.execute(chores.update().values(kind="dance"))
    assert await _due(database) == []
    assert await Chores(database).claim(answer.id, LONG) == []
    assert await _kinds(database, answer) == {"dance"}


async def test_steps_of_a_newer_version_are_passed_over(
    database: Database, answers: Answers, answer: Answer
) -> None:
    names = [("thinking", "done"), ("dancing", "done"), ("tool", "applauded"), ("tool", "denied")]
    steps = [Step(1, StepKind.THINKING, "", StepStatus.DONE)] * len(names)
    async with database.begin() as connection:
        numbered = [replace(step, number=number) for number, step in enumerate(steps, 1)]
        await add_steps(connection, answer.id, numbered)
        for number, (kind, status) in enumerate(names, 1):
            changed = update(answer_steps).where(answer_steps.c.number == number)
            await connection.execute(changed.values(kind=kind, status=status))
    result = await answers.result(answer.id)
    assert result is not None
    assert [step.number for step in result.steps] == [1, 4]
    assert (await answers.results(answer.chat_id))[answer.id].steps == result.steps


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


KEPT = MessageRef("1.0", streaming=False)
LEFT = MessageRef("2.0", streaming=False, leftover=True)
LEFT_LATER = MessageRef("3.0", streaming=False, leftover=True)


async def test_leftovers_are_forgotten_once_the_answer_has_ended(
    database: Database, answers: Answers, builder: ChatBuilder
) -> None:
    chat = (await builder.start()).chat
    claimed = await answers.claim(chat.id, "writer", LONG)
    assert claimed is not None
    shown = (KEPT, LEFT, LEFT_LATER)
    assert await answers.save_slack_messages(claimed.id, "writer", shown)
    await Chores(database).forget_leftovers(claimed.id, {"1.0", "2.0"})
    assert (await answers.get(claimed.id)).slack_messages == shown
    assert await answers.save_result(claimed.id, "writer", AnswerResult(Status.DONE, "well"))
    assert await answers.finish(claimed.id, "writer")
    await Chores(database).forget_leftovers(claimed.id, {"1.0", "2.0"})
    assert (await answers.get(claimed.id)).slack_messages == (KEPT, LEFT_LATER)


async def _blocked(database: Database) -> bool:
    """Whether a transaction waits for another one. SQLite cannot tell."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.read() as connection:
        return database.dialect == "sqlite" or bool(await connection.scalar(text(query)))


async def test_forgetting_leftovers_loses_no_message_that_a_retry_stores_meanwhile(
    rivals: list[Database], answers: Answers, answer: Answer
) -> None:
    async def store(shown: tuple[MessageRef, ...]) -> asyncio.Task[None]:
        """Stores what is shown; meanwhile somebody else forgets the leftovers."""
        row = answer_rows.c.message_id == answer.id
        async with rivals[0].begin() as connection:
            await connection.execute(
                update(answer_rows).where(row).values(parts=parts_to_json(shown))
            )
            forgetting = asyncio.create_task(Chores(rivals[1]).forget_leftovers(answer.id, {"2.0"}))
            async with asyncio.timeout(WAIT_TIMEOUT):
                while not await _blocked(rivals[2]):
                    await asyncio.sleep(0.01)
        return forgetting

    await (await store((LEFT,)))
    await (await store((KEPT, LEFT, LEFT_LATER)))
    assert (await answers.get(answer.id)).slack_messages == (KEPT, LEFT_LATER)
