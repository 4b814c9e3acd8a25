"""An answer that waits for a decision continues whenever something happens to it: the stored state is right at any
moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from bot.domain import Answer, AnswerResult, Status, User
from bot.domain.tool_calls import CallState, Decision, StoredCall, ToolCall, next_call
from bot.usage.limits import NO_LIMITS, Budget, Limits, Period, Scope, Unit
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.types import new_id, utc_now
from storage.erasure import Erasure
from storage.statements.holds import Hold
from storage.tables import answers, spending, tool_calls
from storage.tool_calls import Decided, ToolCalls
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

WORKER, ASKER = "writer", "U1"
PIN = "0123456789abcdef"


def builder_on(database: Database, limits: Limits = NO_LIMITS) -> ChatBuilder:
    return ChatBuilder(Chats(database, limits=limits), Answers(database, limits))


async def asked(
    database: Database, builder: ChatBuilder, chat_id: str, *states: str
) -> list[StoredCall]:
    """Calls in these states, of the chat's next answer, which a worker holds. "repeatable": one that is being made."""
    answer = await builder.replies.claim(chat_id, WORKER, 30)
    assert answer is not None
    calls = [
        StoredCall(
            id=new_id(), answer_id=answer.id, round=0, number=number, path="web/add", pin=PIN, asker=ASKER, asked=True,
            call=ToolCall(f"c{number}", "web__add", '{"text": "x"}'), repeatable=state == "repeatable",
            state=CallState.CALLING if state == "repeatable" else CallState(state),
        )
        for number, state in enumerate(states)
    ]  # fmt: skip
    assert await ToolCalls(database).add(WORKER, chat_id, calls, []) is Hold.HELD
    return calls


def parking(
    database: Database, call: StoredCall, limits: Limits = NO_LIMITS
) -> Coroutine[Any, Any, bool]:
    def goes_on(calls: Sequence[StoredCall]) -> bool:
        return (
            any(each.unaskable for each in calls) or next_call(calls, lambda _: False) is not None
        )

    return ToolCalls(database, limits).park(WORKER, call.answer_id, {}, goes_on)


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


async def in_order(rivals: list[Database], *works: Awaitable[object]) -> list[Any]:
    """What these return, begun together and ended in this order: on PostgreSQL while the answer's row is locked."""
    if rivals[0].dialect == "sqlite":
        return [await work for work in works]
    running: list[asyncio.Future[object]] = []
    async with rivals[0].begin() as locking:
        await locking.execute(select(answers.c.message_id).with_for_update())
        for work in works:
            running.append(asyncio.ensure_future(work))
            await until_waiting(rivals[0], len(running))
    return await asyncio.gather(*running)


@pytest.mark.parametrize("first", ["it", "park"])
@pytest.mark.parametrize("what", ["decide", "refuse", "deny the first of three"])
async def test_events_that_resume_an_answer_count_while_it_is_being_parked(
    rivals: list[Database], what: str, first: str
) -> None:
    """In either order; also if it allows a call to begin while another still waits."""
    builder, three = builder_on(rivals[0]), what.endswith("three")
    chat = (await builder.start()).chat
    call, *_ = await asked(
        rivals[0], builder, chat.id, *(["asked", "ready", "asked"] if three else ["asked"])
    )
    calls, decision = ToolCalls(rivals[1]), Decision.DENY if three else Decision.ONCE
    works: list[Awaitable[object]] = [
        calls.refuse(call)
        if what == "refuse"
        else calls.decide(call.approval, "T1", ASKER, decision),
        parking(rivals[2], call),
    ]
    await in_order(rivals, *(works if first == "it" else reversed(works)))
    assert await claimed(rivals[0], chat.id) is not None


@pytest.mark.parametrize("first", ["press", "stop", "end"])
async def test_a_press_and_the_end_of_its_answer_are_decided_one_after_the_other(
    rivals: list[Database], first: str
) -> None:
    """No allowed call is left unmade, and none begins that is about to be stopped."""
    builder = builder_on(rivals[0])
    chat = (await builder.start()).chat
    call, *rest = await asked(
        rivals[0], builder, chat.id, "asked", "asked", "ready", "calling", "repeatable", "done"
    )
    calls = [ToolCalls(rival) for rival in rivals]
    press = calls[1].decide(call.approval, "T1", ASKER, Decision.ONCE)
    stop = Answers(rivals[2]).request_stop(chat.id)
    end = calls[2].end_open(WORKER, call.answer_id, utc_now())
    works: dict[str, Awaitable[Any]] = {"press": press, "stop": stop, "end": end}
    order = [first, *(name for name in ("press", "stop", "end") if name != first)]
    found = dict(zip(order, await in_order(rivals, *(works[name] for name in order)), strict=True))
    assert found["press"].accepted is (first == "press")
    assert found["press"].call.stopped is (first != "press")
    assert await calls[0].begin(WORKER, rest[1]) is Hold.STOPPED
    ended = ["denied", "denied", "denied", "unknown", "failed", "done"]
    assert [str(each.state) for each in await calls[0].of_answer(call.answer_id)] == ended
    assert [str(each.state) for each in found["end"]] == ended[:-1]
    assert await calls[0].end_open(WORKER, call.answer_id, utc_now()) == []
    assert await calls[0].end_open("another", call.answer_id, utc_now()) is None


@pytest.mark.parametrize("way", ["stopped before", "stopped", "chat erased", "asker erased"])
async def test_what_ends_an_answer_ends_its_waiting(database: Database, way: str) -> None:
    """The worker that claims it next ends it, and the next question of the chat gets its turn."""
    builder = builder_on(database)
    chat = (await builder.start(author="U0")).chat
    await builder.answer(chat)
    await builder.say(chat, "Add x.", ASKER)
    (call,) = await asked(database, builder, chat.id, "asked")
    erasure = Erasure(database)
    if way == "stopped before":
        assert await builder.replies.request_stop(chat.id)
    assert await parking(database, call)
    if way != "stopped before":
        assert await claimed(database, chat.id) is None
    if way == "stopped":
        assert await builder.replies.request_stop(chat.id)
    elif way == "chat erased":
        assert await erasure.stop_answers([chat.id])
    elif way == "asker erased":
        assert await erasure.empty_messages(User("T1", ASKER), 10)
        (left,) = await ToolCalls(database).of_chat(chat.id)
        assert (left.call.arguments, left.asker) == ("{}", None)
    answer = await claimed(database, chat.id)
    assert answer is not None
    assert answer.stop_requested
    assert await ToolCalls(database).end_open("another", answer.id, utc_now())


async def test_parking_gives_back_once_what_a_budget_holds(database: Database) -> None:
    """However often the answer waits for a decision, another message that is being answered keeps its own."""
    limits = Limits((Budget(Scope.USER, 10_000.0, Unit.TOKENS, Period.MONTH),))
    builder = builder_on(database, limits)
    chat, _ = [(await builder.start(f"{number}.0")).chat for number in range(2)]
    held = [await _held(database)]
    (call,) = await asked(database, builder, chat.id, "asked")
    for _ in range(2):
        assert await parking(database, call, limits)
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
    """A later press is refused; a call that is asked about again gets the full time, in the same message."""
    builder, day = builder_on(database), 86_400.0
    chat = (await builder.start()).chat
    (call,) = await asked(database, builder, chat.id, "asked")
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


async def test_the_end_of_a_call_is_reported_by_the_worker_that_stored_it(
    database: Database,
) -> None:
    """Reported again by the same worker after a failure that may have come later; not by a worker that is too late."""
    builder, calls = builder_on(database), ToolCalls(database)
    chat = (await builder.start()).chat
    (call,) = await asked(database, builder, chat.id, "asked")
    ending = (call, CallState.DENIED, "[not called]")
    assert await calls.settle(*ending)
    assert await calls.settle(*ending)
    assert not await calls.settle(call, CallState.DENIED, "[stopped]")
    assert (await calls.of_chat(chat.id))[0].result == "[not called]"
