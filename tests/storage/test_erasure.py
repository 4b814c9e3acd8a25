"""What is erased is gone from every table, and nothing else is touched."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from bot.chats.export import Exporter, ExportFormat
from bot.chats.retention import Eraser, RetentionJob
from bot.domain import Image, ModelRef, Status, Usage, User
from bot.domain.chores import Chore
from bot.usage.calls import Call, CallKind, CallOutcome, payer_of
from bot.usage.limits import Limits, Scope, parse_budget
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.erasure import COVERED, EXEMPT, Erasure, Selection
from storage.ledger import Ledger
from storage.messages import NewMessage
from storage.people import People
from storage.personal_data import EXEMPT as NOT_EXPORTED
from storage.personal_data import IN_CHATS, SECTIONS, PersonalData
from storage.statements.quotes import ERASED_TEXT
from storage.statements.titles import forget_titles
from storage.successors import Successors
from storage.summaries import Summaries, Summary
from storage.tables import (
    answers,
    api_tokens,
    chats,
    chores,
    feedback,
    installations,
    ledger,
    messages,
    metadata,
    questions,
    summaries,
    usage_days,
)
from storage.transcripts import Transcripts
from tests.storage.chat_builder import MODEL, ChatBuilder

GONE, OTHER = User("T1", "U0GONE"), User("T1", "U0OTHER")
SECRET = "the words of one person"
PICTURE = Image("face.png", "image/png", b"picture")


def test_every_table_is_covered_or_exempt_for_a_reason() -> None:
    assert {*COVERED, *EXEMPT} == set(metadata.tables)
    assert not COVERED.keys() & EXEMPT.keys()


def test_every_table_is_exported_or_exempt_for_a_reason() -> None:
    in_sections = {columns[0].table.name for columns in SECTIONS.values()}
    assert {*in_sections, *IN_CHATS, *NOT_EXPORTED} == set(metadata.tables)
    assert not in_sections & {*IN_CHATS, *NOT_EXPORTED}


async def rows(database: Database) -> Counter[str]:
    async with database.read() as connection:
        return Counter(
            {
                name: await connection.scalar(select(func.count()).select_from(table)) or 0
                for name, table in metadata.tables.items()
            }
        )


async def everything(database: Database) -> str:
    """All that the database holds, as text."""
    async with database.read() as connection:
        found = [
            str(row)
            for table in metadata.tables.values()
            for row in await connection.execute(select(table))
        ]
        if database.dialect == "postgresql":
            found += [str(row) for row in await connection.execute(text("SELECT * FROM passages"))]
    return "\n".join(found)


async def full(database: Database, builder: ChatBuilder, user: User, thread: str) -> str:
    """A chat with a row in every table that may have one for it; gives its id."""
    started = await builder.chats.start(
        team=user.team,
        owner=user.id,
        model=MODEL,
        message=NewMessage(SECRET, user.id, source=thread, ts=thread, images=(PICTURE,)),
    )
    answer = await builder.answer(started.chat, SECRET)
    now = utc_now()
    own = {"team": user.team, "user": user.id}
    async with database.begin() as connection:
        for table, row in (
            (chores, {"message_id": answer.id, "kind": Chore.TITLE, "due_at": now, "tries": 0}),
            (feedback, own | {"message_id": answer.id, "value": 1, "updated_at": now}),
            (summaries, {"chat_id": started.chat.id, "since": 1, "through": 2, "text": SECRET,
                         "created_at": now}),
            (questions, own | {"id": thread, "channel": "C1", "thread": thread, "ts": thread,
                               "text": SECRET, "state": "used", "message_id": started.message.id,
                               "created_at": now}),
            (ledger, own | {"id": thread, "at": now, "chat_id": started.chat.id, "kind": "answer",
                            "provider": "a", "model": "b", "outcome": "done"}),
            (api_tokens, own | {"hash": f"{user.id}{thread}", "created_at": now}),
        ):  # fmt: skip
            await connection.execute(insert(table).values(row))
    return started.chat.id


async def somebody_elses(database: Database, builder: ChatBuilder) -> None:
    """What there is of the person in a chat of somebody else besides messages, and in a branch of it."""
    chat = (await builder.start("8.8", "not secret", OTHER.id)).chat
    await builder.answer(chat)
    said = NewMessage(SECRET, GONE.id, source=f"api:{GONE.id}:key")
    await builder.chats.add_message(chat.id, said)
    await builder.answer(chat)
    last = (await builder.say(chat, "and now?", OTHER.id)).message
    await builder.answer(chat)
    summary = Summary(1, 4, SECRET)
    async with database.begin() as connection:
        stopped = update(answers).where(answers.c.chat_id == chat.id)
        await connection.execute(stopped.values(stopped_by=GONE.id))
    await Summaries(database).store(chat.id, summary, 2)
    successors = Successors(database)
    branch = await successors.create_branch(chat, last, OTHER.id, MODEL, None)
    assert await successors.fill_branch(branch.chat.id) is not None


async def test_nothing_of_an_erased_person_remains(
    database: Database, builder: ChatBuilder, people: People
) -> None:
    await people.set_default(GONE, ModelRef("a", "b"))
    for thread in ("1.1", "1.2", "1.3"):
        await full(database, builder, GONE, thread)
    others = await builder.start("9.9", "not secret", OTHER.id)
    await builder.answer(others.chat)
    await builder.say(others.chat, SECRET, GONE.id)
    await builder.answer(others.chat, "an answer to it")
    await somebody_elses(database, builder)
    async with database.begin() as connection:
        installed = {"enterprise": "", "team": "T1", "bot_user": "B", "bot_token": "x", "url": "",
                     "scopes": "", "installed_by": GONE.id, "installed_at": utc_now()}  # fmt: skip
        await connection.execute(insert(installations).values(installed))

    exporter = Exporter(Transcripts(database), people, PersonalData(database), str)
    exported = json.loads("".join([p async for p in exporter.person(GONE, ExportFormat.JSON)]))
    sections = {name: len(rows) for name, rows in exported.items() if name != "person"}
    assert sections == {
        "preferences": 1,
        "tokens": 3,
        "requests": 3,
        "ratings": 3,
        "allowedTools": 0,
        "usage": 0,
        "chats": 5,
    }
    erasure = Erasure(database)
    eraser, preview = Eraser(erasure), await erasure.count(Selection(user=GONE))
    assert (preview["chats"], preview["messages"], preview["attachments"]) == (3, 6, 3)
    assert (preview["people"], preview["api_tokens"], preview["messages of others' chats"]) == (
        1,
        3,
        3,
    )
    before = await rows(database)
    assert (await rows(database)) == before

    async with database.begin() as connection:
        for user in (GONE.id, OTHER.id, ""):
            sums = {"team": "T1", "user": user, "day": "2026-01-01", "channel": "C1", "model": "m", "answers": 2,
                    "failures": 0, "calls": 2, "untold": 0, "unpriced": 0, "prompt_tokens": 5,
                    "completion_tokens": 5, "cached_tokens": 0, "cost": 0.5}  # fmt: skip
            await connection.execute(insert(usage_days).values(sums))

    gone = await eraser.erase(Selection(user=GONE))
    assert gone["chats"] == 3
    assert (await rows(database))["ledger"] == before["ledger"]
    async with database.read() as connection:
        kept = (await connection.execute(select(usage_days.c.user, usage_days.c.answers))).all()
    assert sorted(tuple(row) for row in kept) == [("", 4), (OTHER.id, 2)]
    left = await everything(database)
    assert GONE.id not in left
    assert SECRET not in left
    assert [m.text for m in await builder.chats.messages(others.chat.id)] == [
        "not secret", "well", ERASED_TEXT, "an answer to it",
    ]  # fmt: skip
    assert not await eraser.erase(Selection(user=GONE))


async def test_calls_that_end_after_their_user_was_erased_are_charged_to_nobody(
    database: Database, builder: ChatBuilder
) -> None:
    """A title that was being written, and a failed call for an answer that is asked for again."""
    chat = (await builder.start("1.1", "not secret", OTHER.id)).chat
    await builder.answer(chat)
    said = await builder.say(chat, SECRET, GONE.id)
    payer = payer_of(chat, GONE.id)
    limits = Limits((parse_budget(Scope.USER, "1M tokens/month"),))
    calls = Ledger(database, limits)
    title = Call("t" * 32, payer, CallKind.TITLE, MODEL, estimated_tokens=5)
    await calls.ask(title)
    await Eraser(Erasure(database)).erase(Selection(user=GONE))
    await calls.complete(replace(title, outcome=CallOutcome.DONE, usage=Usage(10, 1, 0.5)))
    failed = Call("a" * 32, payer, CallKind.ANSWER, MODEL, CallOutcome.REPEATED)
    await calls.add([replace(failed, answer_id=said.answer.id)])
    assert GONE.id not in await everything(database)
    async with database.read() as connection:
        used = (await connection.execute(select(ledger.c.kind, ledger.c.prompt_tokens))).all()
    assert {"title": 10, "answer": None}.items() <= dict(tuple(row) for row in used).items()


async def test_a_call_recorded_while_its_user_is_erased_is_charged_to_nobody(
    database: Database, builder: ChatBuilder
) -> None:
    chat = (await builder.start("1.1", "not secret", OTHER.id)).chat
    await builder.answer(chat)
    said = await builder.say(chat, SECRET, GONE.id)
    asked = Call("a" * 32, payer_of(chat, GONE.id), CallKind.ANSWER, MODEL)

    class WithCall(Erasure):
        """The answer's model is asked just before the answer is to end."""

        async def empty_messages(self, user: User, limit: int) -> int:
            await Ledger(database).add([replace(asked, answer_id=said.answer.id)])
            return await super().empty_messages(user, limit)

    await Eraser(WithCall(database)).erase(Selection(user=GONE))
    assert (await rows(database))["ledger"] == 1
    assert GONE.id not in await everything(database)


async def waits_or_ended(database: Database, task: asyncio.Task[None]) -> None:
    """Until the task waits for a lock of PostgreSQL, or is done. SQLite has one writer, who tells nobody."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while database.dialect == "postgresql" and not task.done():
        async with database.read() as connection:
            if await connection.scalar(text(query)):
                return
        await asyncio.sleep(0.01)


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_an_answer_that_begins_during_an_erasure_is_stopped(
    database: Database,
    rivals: list[Database],
    builder: ChatBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its worker may have read what is not erased yet. SQLite has one writer."""
    chat = (await builder.start("1.1", SECRET, GONE.id)).chat
    await builder.answer(chat)
    other = await builder.say(chat, "a later question", OTHER.id)
    claimed: list[str] = []

    async def forget_late(*arguments: Any, **options: Any) -> None:
        answer = await Answers(rivals[1]).claim(chat.id, "w1", 600)
        claimed.extend([answer.id] if answer else [])
        await forget_titles(*arguments, **options)

    monkeypatch.setattr("storage.erasure.forget_titles", forget_late)
    assert await Erasure(database).empty_messages(GONE, 10) == 1
    assert claimed == [other.answer.id]
    assert await Answers(database).renew("w1", 600) == {other.answer.id: True}


@pytest.mark.parametrize("what", ["a new call", "a call that ends", "a summary"])
async def test_what_is_stored_at_the_moment_of_an_erasure_waits_for_it(
    database: Database, rivals: list[Database], builder: ChatBuilder, what: str
) -> None:
    chat = (await builder.start("1.1", "not secret", OTHER.id)).chat
    await builder.answer(chat)
    said = await builder.say(chat, "a word", GONE.id)
    call = Call("c" * 32, payer_of(chat, GONE.id), CallKind.ANSWER, MODEL)
    call = replace(call, answer_id=said.answer.id)
    ended = replace(call, outcome=CallOutcome.DONE, usage=Usage(10, 1, 0.5))
    calls, summaries_of = Ledger(rivals[1]), Summaries(rivals[1])
    if what == "a call that ends":
        await calls.ask(call)
    people = await summaries_of.people(chat.id, 1, 3)
    asked = update(answers).where(answers.c.message_id == said.answer.id)
    said_by = update(messages).where(messages.c.author == GONE.id)
    async with database.begin() as connection:
        await connection.execute(asked.values(asker=None))
        await connection.execute(update(ledger).values(user=None))
        await connection.execute(update(usage_days).values(user=""))
        await connection.execute(said_by.values(author=None))
        store = asyncio.create_task(
            {
                "a new call": lambda: calls.ask(call),
                "a call that ends": lambda: calls.complete(ended),
                "a summary": lambda: summaries_of.store(chat.id, Summary(1, 3, SECRET), people),
            }[what]()
        )
        await waits_or_ended(rivals[2], store)
    await store
    async with database.read() as connection:
        users = await connection.scalars(select(ledger.c.user).union(select(usage_days.c.user)))
        assert GONE.id not in users.all()
        assert not (await connection.scalars(select(summaries.c.text))).all()


async def test_only_chats_not_used_since_then_are_erased(
    database: Database, builder: ChatBuilder
) -> None:
    old = [await full(database, builder, GONE, f"1.{n}") for n in range(45)]
    new = await full(database, builder, GONE, "2.1")
    month = timedelta(days=30)
    async with database.begin() as connection:
        aged = update(chats).where(chats.c.id.in_(old))
        await connection.execute(aged.values(updated_at=utc_now() - 2 * month))
    gone = await Eraser(Erasure(database)).erase(Selection(before=utc_now() - month))
    assert gone["chats"] == 45
    assert (await builder.chats.get(new)).id == new
    counted = await rows(database)
    assert (counted["chats"], counted["messages"], counted["attachments"]) == (1, 2, 1)
    assert (counted["questions"], counted["api_tokens"]) == (1, 46)


async def test_one_replica_a_day_removes_old_chats(
    database: Database, rivals: list[Database], builder: ChatBuilder
) -> None:
    await full(database, builder, GONE, "1.1")
    claims = [ActionClaims(each) for each in rivals]
    keepers = [
        RetentionJob(Eraser(Erasure(each)), claim, timedelta(days=365))
        for each, claim in zip(rivals, claims, strict=True)
    ]
    for keeper in keepers:
        await keeper.run()
    assert (await rows(database))["chats"] == 1
    async with database.begin() as connection:
        await connection.execute(update(chats).values(updated_at=utc_now() - timedelta(days=366)))
    for keeper in keepers:
        await keeper.run()
    assert (await rows(database))["chats"] == 1, "this day's work was done"
    await claims[0].release("keep", f"{utc_now():%Y-%m-%d}")
    await keepers[0].run()
    assert (await rows(database))["chats"] == 0


async def test_a_chat_that_is_being_answered_is_left_for_the_next_night(
    database: Database, builder: ChatBuilder
) -> None:
    """Whether it is answered now, or was just asked for again."""
    running, retried, old = [(await builder.start(f"1.{n}")).chat for n in range(3)]
    failed = await builder.answer(retried, status=Status.FAILED)
    await builder.answer(old)
    month = timedelta(days=30)
    async with database.begin() as connection:
        await connection.execute(update(chats).values(updated_at=utc_now() - 2 * month))
    assert await builder.replies.claim(running.id, "writer", 30)
    assert await builder.replies.retry(failed.id)
    gone = await Eraser(Erasure(database)).erase(Selection(before=utc_now() - month))
    assert gone["chats"] == 1
    assert {(await builder.chats.get(each.id)).id for each in (running, retried)} == {
        running.id, retried.id,
    }  # fmt: skip
