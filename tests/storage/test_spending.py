"""Budgets and rates hold when replicas admit messages concurrently, and count each call once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from bot.domain import AnswerResult, Chat, ModelRef, Status, Thread, Usage
from bot.errors import ChatNotFound
from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from bot.usage.limits import Budget, BudgetReached, Limits, MessageRate, Period, Scope, Unit
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.types import new_id, utc_now
from storage.ledger import Ledger
from storage.messages import NewMessage, StoredMessage
from storage.statements.ledger_rows import add_calls
from storage.statements.prices import with_price
from storage.statements.spending import Spent, admit, settle
from storage.successors import Successors
from storage.tables import chats, ledger, messages, spending
from tests.slow import slow_after
from tests.storage.chat_builder import MODEL, ChatBuilder

USER = "U1"


def budget(
    scope: Scope, amount: float, unit: Unit = Unit.TOKENS, period: Period = Period.MONTH
) -> Limits:
    return Limits((Budget(scope, amount, unit, period),))


def call(tokens: int, cost: float | None = None, user: str = USER) -> Call:
    used = Usage(tokens, 0, cost)
    payer = Payer("T1", user, "C1", "chat")
    return Call(new_id(), payer, CallKind.ANSWER, MODEL, CallOutcome.DONE, used, 1.0)


async def start(database: Database, limits: Limits, number: int) -> StoredMessage | BudgetReached:
    """One person's new chat."""
    try:
        return await Chats(database, limits=limits).start(
            team="T1",
            owner=USER,
            model=MODEL,
            thread=Thread("T1", "C1", f"{number}.0"),
            message=NewMessage("hello", USER, source=f"{number}.0"),
        )
    except BudgetReached as reached:
        return reached


async def start_twenty(
    rivals: list[Database], limits: Limits, first: int = 0
) -> list[StoredMessage]:
    tries = (start(rivals[n % len(rivals)], limits, n) for n in range(first, first + 20))
    return [done for done in await asyncio.gather(*tries) if isinstance(done, StoredMessage)]


async def end(
    database: Database, limits: Limits, stored: StoredMessage, used: Usage
) -> AnswerResult:
    answers = Answers(database, limits)
    claimed = await answers.claim(stored.chat.id, "writer", 30)
    assert claimed is not None
    made = Call(
        new_id(),
        Payer("T1", USER, "C1", stored.chat.id),
        CallKind.ANSWER,
        MODEL,
        CallOutcome.DONE,
        used,
    )
    result = AnswerResult(Status.DONE, "well", usage=used)
    saved = await answers.save_result(claimed.id, "writer", result, calls=[made])
    again = await answers.save_result(claimed.id, "writer", result, calls=[made])
    assert saved is not None
    assert again is not None
    assert await answers.finish(claimed.id, "writer")
    return saved


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("unit", slow_after(1, Unit))
async def test_of_twenty_at_the_edge_one_passes(
    rivals: list[Database], scope: Scope, unit: Unit
) -> None:
    limits = budget(scope, 1000, unit)
    for _ in range(9):
        await Ledger(rivals[0], limits).add([call(110, 110.0)])
    admitted = await start_twenty(rivals, limits)
    assert len(admitted) == 1
    async with rivals[0].read() as connection:
        assert len((await connection.execute(select(messages))).all()) == 2
    await end(rivals[1], limits, admitted[0], Usage(5, 0, 5.0))
    assert len(await start_twenty(rivals, limits, 20)) == 1


@pytest.mark.parametrize("scope", list(Scope))
async def test_of_messages_retries_and_branches_at_the_edge_one_passes(
    rivals: list[Database], scope: Scope
) -> None:
    """All of one person, in three replicas at once."""
    limits = budget(scope, 1000)
    for _ in range(9):
        await Ledger(rivals[0], limits).add([call(110)])
    builder = ChatBuilder(Chats(rivals[0]), Answers(rivals[0]))
    tries: list[Coroutine[Any, Any, object]] = []
    for number in range(5):
        rival = rivals[number % len(rivals)]
        stored = await builder.start(f"{number}.5", author=USER)
        failed = await builder.answer(stored.chat, status=Status.FAILED)
        other = (await builder.start(f"{number}.6", author=USER)).chat
        await builder.answer(other)
        message = NewMessage("more", USER, source=f"{number}.7")
        tries += [
            start(rival, limits, number),
            Chats(rival, limits=limits).add_message(other.id, message),
            Answers(rival, limits).retry(failed.id),
            Successors(rival, limits).create_branch(
                stored.chat, stored.message, USER, ModelRef("openai", f"other-{number}"), "C1"
            ),
        ]
    done = await asyncio.gather(*tries, return_exceptions=True)
    passed = [each for each in done if not isinstance(each, BudgetReached)]
    assert len(passed) == 1, [type(each) for each in passed]
    assert not isinstance(passed[0], BaseException)


@pytest.mark.parametrize("channel", [None, "C1"])
async def test_nothing_is_held_for_a_branch_that_has_been_answered(
    database: Database, channel: str | None
) -> None:
    """Neither of the channel's budget if it was asked for by a program, and so is in no channel."""
    limits = Limits(tuple(Budget(each, 1000, Unit.TOKENS, Period.MONTH) for each in Scope))
    stored = await ChatBuilder(Chats(database), Answers(database)).filled(2)
    (question, _) = await Chats(database).messages(stored.id)
    successors = Successors(database, limits)
    branch = await successors.create_branch(
        stored, question, USER, ModelRef("openai", "other"), channel
    )
    if channel is None:
        asked = await successors.fill_branch(branch.chat.id)
    else:
        _, asked = await successors.set_branch_thread(branch.chat.id, "9.9")
    assert asked is not None
    await end(database, limits, asked, Usage(100, 0))
    async with database.read() as connection:
        rows = (await connection.execute(select(spending))).all()
    assert {(row.scope, row.held) for row in rows} >= {("user", 0), ("workspace", 0)}
    assert [row for row in rows if row.held] == []


@pytest.mark.parametrize("channel", [None, "C1"])
async def test_nothing_is_held_for_a_branch_that_is_never_answered(
    database: Database, channel: str | None
) -> None:
    """Because Slack refuses its thread, after which it is admitted again; or because the question is erased."""
    limits = Limits(tuple(Budget(each, 1000, Unit.TOKENS, Period.MONTH) for each in Scope))
    old = await ChatBuilder(Chats(database), Answers(database)).filled(2)
    (question, _) = await Chats(database).messages(old.id)
    successors = Successors(database, limits)

    async def ask() -> Chat:
        model = ModelRef("openai", "other")
        return (await successors.create_branch(old, question, USER, model, channel)).chat

    async def held() -> list[int]:
        async with database.read() as connection:
            return list(await connection.scalars(select(spending.c.held)))

    branch = await ask()
    assert {*await held()} == {1}
    for _ in range(2):
        await successors.give_up_thread(branch.id)
    assert {*await held()} == {0}
    branch = await ask()
    assert {*await held()} == {1}
    async with database.begin() as connection:
        await connection.execute(delete(chats).where(chats.c.id == old.id))
        # What another answer holds meanwhile must not be released with it.
        await connection.execute(update(spending).values(held=2))
    if channel is None:
        assert await successors.fill_branch(branch.id) is None
        with pytest.raises(ChatNotFound):
            await successors.fill_branch(branch.id)
    else:
        for ts in ("9.9", "9.10"):
            _, asked = await successors.set_branch_thread(branch.id, ts)
            assert asked is None
    assert {*await held()} == {1}
    await successors.give_up_thread(branch.id)
    assert {*await held()} == {1}


async def test_many_at_once_pass_as_long_as_there_is_room_for_each(rivals: list[Database]) -> None:
    limits = budget(Scope.USER, 1000)
    await Ledger(rivals[0], limits).add([call(100) for _ in range(5)])
    assert len(await start_twenty(rivals, limits)) == 5


async def test_what_was_used_before_a_budget_was_set_counts(database: Database) -> None:
    for user in (USER, "U2"):
        await Ledger(database).add([call(600, user=user)])
    assert isinstance(await start(database, budget(Scope.USER, 700), 1), StoredMessage)
    for period in Period:
        limits = budget(Scope.WORKSPACE, 1000, period=period)
        refused = await start(database, limits, 2)
        assert isinstance(refused, BudgetReached)
        assert not refused.held


async def test_of_twenty_messages_a_rate_of_five_allows_five(rivals: list[Database]) -> None:
    limits = Limits(rate=MessageRate(5, Period.MONTH))
    assert len(await start_twenty(rivals, limits)) == 5


async def test_each_call_and_each_answer_counts_once(database: Database) -> None:
    limits = budget(Scope.USER, 1000)
    stored = await start(database, limits, 1)
    assert isinstance(stored, StoredMessage)
    await end(database, limits, stored, Usage(100, 50))
    async with database.read() as connection:
        row = (await connection.execute(select(spending))).one()
    assert (row.tokens, row.answers, row.held) == (150, 1, 0)
    (figures,) = await Ledger(database).figures(row.begins.date())
    assert (figures.calls, figures.answers, figures.prompt_tokens) == (1, 1, 100)


async def test_one_footer_says_that_a_budget_is_nearly_used_up(database: Database) -> None:
    limits = budget(Scope.USER, 1000)
    said = []
    for number, tokens in enumerate((700, 100, 100)):
        stored = await start(database, limits, number)
        assert isinstance(stored, StoredMessage)
        result = await end(database, limits, stored, Usage(tokens, 0))
        said.append([each.budget for each in result.near_budgets])
    assert said == [[], ["1k tokens/month"], []]


async def test_one_of_many_footers_in_all_replicas_says_that_a_budget_is_nearly_used_up(
    rivals: list[Database],
) -> None:
    """Answers end at the same time; from the second on, each finds it nearly used up."""
    limits = budget(Scope.USER, 100_000)
    begun = [await start(rivals[0], limits, number) for number in range(9)]
    ends = (
        end(rivals[number % len(rivals)], limits, stored, Usage(40_000, 0))
        for number, stored in enumerate(begun)
        if isinstance(stored, StoredMessage)
    )
    said = [each.budget for saved in await asyncio.gather(*ends) for each in saved.near_budgets]
    assert said == ["100k tokens/month"]


@pytest.mark.parametrize("period", Period)
async def test_a_budget_begins_anew_with_the_next_period(
    database: Database, period: Period
) -> None:
    """Up to its last moment, messages are refused until then; what was held for one that was admitted before is not
    held any more.
    """
    limits = budget(Scope.USER, 1000, period=period)
    payer = Payer("T1", USER, "C1", "chat")
    before = period.end(utc_now())
    last = before - timedelta(microseconds=1)
    async with database.begin() as connection:
        await admit(connection, limits, payer, last)
        used = Spent(tokens=1000, cost=0.0, answers=1)
        await settle(connection, limits, payer, used, last, admitted_at=last)
        with pytest.raises(BudgetReached) as refused:
            await admit(connection, limits, payer, last)
        assert (refused.value.again_at, refused.value.held) == (before, False)
        await admit(connection, limits, payer, before)
        await settle(connection, limits, payer, Spent(0, 0.0, 0), before, admitted_at=last)
        rows = await connection.execute(select(spending).order_by(spending.c.begins))
        assert [(row.begins, row.tokens, row.held) for row in rows] == [
            (period.begin(last), 1000, 0),
            (before, 0, 1),
        ]


async def test_an_asked_call_is_completed_once(database: Database) -> None:
    ledger = Ledger(database, budget(Scope.USER, 1000))
    ended = call(100, 0.5)
    asked = Call(ended.id, ended.payer, ended.kind, ended.model)
    await ledger.ask(asked)
    begin = Period.MONTH.begin(utc_now()).date()
    (open_,) = await ledger.figures(begin)
    assert (open_.calls, open_.untold, open_.known_cost) == (1, 1, None)
    for _ in range(2):
        await ledger.complete(ended)
    (figures,) = await ledger.figures(begin)
    assert (figures.calls, figures.untold, figures.prompt_tokens, figures.known_cost) == (
        1,
        0,
        100,
        0.5,
    )
    async with database.read() as connection:
        assert [row.tokens for row in await connection.execute(select(spending))] == [100]


async def test_what_a_call_did_not_use_is_given_back_to_the_period_in_which_it_was_asked(
    database: Database,
) -> None:
    usage = Ledger(database, budget(Scope.USER, 1000, period=Period.HOUR))
    ended = call(100)
    await usage.ask(replace(ended, outcome=CallOutcome.ASKED, usage=None, estimated_tokens=500))
    async with database.begin() as connection:
        for column in (ledger.c.at, spending.c.begins):
            at = (await connection.execute(select(column))).scalar_one()
            earlier = at - timedelta(hours=1)
            await connection.execute(update(column.table).values({column.name: earlier}))
    await usage.complete(ended)
    async with database.read() as connection:
        assert [row.tokens for row in await connection.execute(select(spending))] == [100]


async def test_unreported_costs_are_estimated_from_reported_ones(
    database: Database,
) -> None:
    """On the day before yesterday both kinds were made: it says nothing of the price."""
    ledger = Ledger(database, budget(Scope.USER, 1.0, Unit.USD))
    await ledger.add(
        [call(1_000, cost=0.5), replace(call(0), usage=None, outcome=CallOutcome.FAILED)]
    )
    async with database.begin() as connection:
        priced = await with_price(connection, _untold(100), utc_now())
        await add_calls(
            connection, [call(10, cost=9.0), call(9_000)], utc_now() - timedelta(days=2)
        )
        again = await with_price(connection, _untold(100), utc_now())
    assert (priced.estimated_cost, again.estimated_cost) == (0.05, 0.05)


def _untold(tokens: int) -> Call:
    return replace(call(0), usage=None, estimated_tokens=tokens)
