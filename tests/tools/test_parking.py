"""An answer that waits for a decision goes on whenever something comes for it: what is stored says so at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from bot.domain import Answer, AnswerResult, Status, User
from bot.tool_calls import CallState, Decision, StoredCall, ToolCall
from bot.usage.limits import NO_LIMITS, Budget, Limits, Period, Scope, Unit
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.types import new_id, utc_now
from storage.erasure import Erasure
from storage.tables import answers, spending, tool_calls
from storage.tool_calls import Decided, ToolCalls
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

WORKER, ASKER = "writer", "U1"
PIN = "0123456789abcdef"


def builder_on(database: Database, limits: Limits = NO_LIMITS) -> ChatBuilder:
    return ChatBuilder(Chats(database, limits=limits), Answers(database, limits))


async def asked(database: Database, builder: ChatBuilder, chat_id: str) -> StoredCall:
    """A call that waits for a decision, of the chat's next answer, which a worker holds."""
    answer = await builder.replies.claim(chat_id, WORKER, 30)
    assert answer is not None
    call = StoredCall(
        id=new_id(), answer_id=answer.id, round=0, number=0, call=ToolCall("c0", "web__add", "{}"),
        path="web/add", state=CallState.ASKED, pin=PIN, asker=ASKER, asked=True,
    )  # fmt: skip
    assert await ToolCalls(database).add(WORKER, chat_id, [call], [])
    return call


async def claimed(database: Database, chat_id: str) -> Answer | None:
    return await Answers(database).claim(chat_id, "another", 30)


async def until_waiting(database: Database, count: int) -> None:
    """Returns when so many transactions wait for a lock of another one."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(WAIT_TIMEOUT), database.read() as connection:
        while await connection.scalar(waiting) != count:
            await connection.rollback()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "dialect", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
@pytest.mark.parametrize("first", ["it", "park"])
@pytest.mark.parametrize("what", ["decide", "refuse"])
async def test_what_lets_an_answer_go_on_counts_while_it_is_being_parked(
    rivals: list[Database], what: str, first: str
) -> None:
    """Both begin while the answer's row is locked, and end in either order."""
    builder = builder_on(rivals[0])
    chat = (await builder.start()).chat
    call = await asked(rivals[0], builder, chat.id)
    calls = ToolCalls(rivals[1])
    works: list[Awaitable[object]] = [
        calls.refuse(call)
        if what == "refuse"
        else calls.decide(call.approval, "T1", ASKER, Decision.ONCE),
        ToolCalls(rivals[2]).park(WORKER, call.answer_id, {}),
    ]
    running: list[asyncio.Future[object]] = []
    async with rivals[0].begin() as locking:
        await locking.execute(select(answers.c.message_id).with_for_update())
        for work in works if first == "it" else reversed(works):
            running.append(asyncio.ensure_future(work))
            await until_waiting(rivals[0], len(running))
    await asyncio.gather(*running)
    assert await claimed(rivals[0], chat.id) is not None


@pytest.mark.parametrize("way", ["stopped before", "stopped", "chat erased", "asker erased"])
async def test_what_ends_an_answer_ends_its_waiting(database: Database, way: str) -> None:
    """Whoever claims it next ends it, and the next question of the chat has its turn."""
    builder = builder_on(database)
    chat = (await builder.start(author="U0")).chat
    await builder.answer(chat)
    await builder.say(chat, "Add x.", ASKER)
    call = await asked(database, builder, chat.id)
    erasure = Erasure(database)
    if way == "stopped before":
        assert await builder.replies.request_stop(chat.id)
    assert await ToolCalls(database).park(WORKER, call.answer_id, {})
    if way != "stopped before":
        assert await claimed(database, chat.id) is None
    if way == "stopped":
        assert await builder.replies.request_stop(chat.id)
    elif way == "chat erased":
        assert await erasure.stop_answers([chat.id])
    elif way == "asker erased":
        assert await erasure.empty_messages(User("T1", ASKER), 10)
        assert await ToolCalls(database).of_chat(chat.id) == []
    answer = await claimed(database, chat.id)
    assert answer is not None
    assert answer.stop_requested


async def test_parking_gives_back_once_what_a_budget_holds(database: Database) -> None:
    """However often the answer waits for a decision: another message that is being answered keeps its own."""
    limits = Limits((Budget(Scope.USER, 10_000.0, Unit.TOKENS, Period.MONTH),))
    builder = builder_on(database, limits)
    chat, _ = [(await builder.start(f"{number}.0")).chat for number in range(2)]
    held = [await _held(database)]
    call = await asked(database, builder, chat.id)
    for _ in range(2):
        assert await ToolCalls(database, limits).park(WORKER, call.answer_id, {})
        held.append(await _held(database))
        async with database.begin() as connection:
            await connection.execute(update(answers).values(owner=WORKER, parked=False))
    result = AnswerResult(Status.DONE, "well")
    assert await builder.replies.save_result(call.answer_id, WORKER, result)
    assert [*held, await _held(database)] == [2, 1, 1, 1]


async def _held(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.sum(spending.c.held))) or 0


async def test_the_time_for_a_decision_begins_when_it_is_asked_for(database: Database) -> None:
    """A press after it is refused; and what is asked anew has all of it again, in the same message."""
    builder, day = builder_on(database), 86_400.0
    chat = (await builder.start()).chat
    call = await asked(database, builder, chat.id)
    calls = ToolCalls(database, approval_life=day)
    await calls.note_shown(call, "7.7", CallState.ASKED)

    async def press(asked: StoredCall) -> Decided:
        decided = await calls.decide(asked.approval, "T1", ASKER, Decision.ONCE)
        assert decided is not None
        return decided

    async def grow_old() -> None:
        old = utc_now() - timedelta(seconds=day + 1)
        async with database.begin() as connection:
            await connection.execute(update(tool_calls).values(created_at=old, updated_at=old))

    await grow_old()
    late = await press(call)
    assert (late.accepted, late.call.overdue, late.call.state) == (False, True, CallState.ASKED)

    async with database.begin() as connection:
        await connection.execute(update(tool_calls).values(updated_at=utc_now()))
    in_time = await press(call)
    assert in_time.accepted
    await grow_old()
    await calls.ask_again(in_time.call, "another pin of it")
    assert await calls.has_unshown(call.answer_id)
    anew = await calls.get(call.id)
    assert anew is not None
    assert (anew.overdue, anew.message_ts, anew.shows(CallState.ASKED)) == (False, "7.7", False)
    assert (await press(anew)).accepted


async def test_the_end_of_a_call_is_told_by_whoever_has_stored_it(database: Database) -> None:
    """Once more by the same after a failure that may have come after it; not by whoever is too late."""
    builder, calls = builder_on(database), ToolCalls(database)
    chat = (await builder.start()).chat
    call = await asked(database, builder, chat.id)
    ending = (call, CallState.DENIED, "[not called]")
    assert await calls.settle(*ending)
    assert await calls.settle(*ending)
    assert not await calls.settle(call, CallState.DENIED, "[stopped]")
    assert (await calls.of_chat(chat.id))[0].result == "[not called]"
