"""Whose words continuations and branches have from the chat before them: an erasure finds them there too."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from bot.chats.retention import Eraser
from bot.domain import Chat, ModelRef, User
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.erasure import Erasure, Selection
from storage.statements.quotes import to_quoted
from storage.successors import Successors
from storage.tables import chats, messages
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

GONE = User("T1", "U0GONE")
SECRET = "the words of one person"
MONTH = timedelta(days=30)


async def branched(database: Database, builder: ChatBuilder, old: Chat, model: str) -> Chat:
    """A branch of the chat's first question."""
    question, *_ = await builder.chats.messages(old.id)
    successors = Successors(database)
    made = await successors.create_branch(old, question, "U1", ModelRef("openai", model), None)
    assert await successors.fill_branch(made.chat.id) is not None
    return await builder.chats.get(made.chat.id)


async def summarised(database: Database, builder: ChatBuilder, old: Chat) -> Chat:
    """The chat's continuation."""
    successors = Successors(database)
    new = (await successors.create_continuation(old, "U1", None)).chat
    return await successors.set_summary(new.id, SECRET, through=2)


async def read_before(database: Database, builder: ChatBuilder) -> Chat:
    """A chat that begins with what the person said in its thread."""
    chat = await builder.filled(2, "1.1")
    said = {"context": SECRET, "quoted": to_quoted([GONE.id])}
    async with database.begin() as connection:
        await connection.execute(update(chats).where(chats.c.id == chat.id).values(said))
    return await builder.chats.get(chat.id)


async def read_since(database: Database, builder: ChatBuilder) -> Chat:
    """A chat with a question that repeats what the person said since the answer before."""
    chat = await builder.filled(2, "2.1")
    said = {"text": SECRET, "quoted": to_quoted([GONE.id])}
    question = messages.c.chat_id == chat.id, messages.c.number == 1
    async with database.begin() as connection:
        await connection.execute(update(messages).where(*question).values(said))
    return chat


async def contexts(database: Database) -> list[str | None]:
    async with database.read() as connection:
        return list(await connection.scalars(select(chats.c.context)))


@pytest.mark.parametrize("before", ["stays", "is removed first"])
async def test_words_that_an_older_version_copied_unrecorded_are_erased(
    database: Database, builder: ChatBuilder, before: str
) -> None:
    """From continuations, from branches, and from what was made of these; whatever became of the chat before them."""
    read, since = await read_before(database, builder), await read_since(database, builder)
    branch = await branched(database, builder, read, "other")
    again = await branched(database, builder, branch, "third")
    made = [branch, again]
    for each in (read, since, again):
        made.append(await summarised(database, builder, each))
    made.append(await summarised(database, builder, made[-1]))
    unrecorded = update(chats).where(chats.c.id.in_([each.id for each in made]))
    async with database.begin() as connection:
        await connection.execute(unrecorded.values(quoted=None))
    assert (await contexts(database)).count(SECRET) == 7
    if before == "is removed first":
        unused = update(chats).where(chats.c.id.in_([read.id, since.id]))
        async with database.begin() as connection:
            await connection.execute(unused.values(updated_at=utc_now() - 2 * MONTH))
        gone = await Eraser(Erasure(database)).erase(Selection(before=utc_now() - MONTH))
        assert gone["chats"] == 2
        assert (await contexts(database)).count(SECRET) == 6
    await Eraser(Erasure(database)).erase(Selection(user=GONE))
    assert SECRET not in await contexts(database)
    assert not await Eraser(Erasure(database)).erase(Selection(user=GONE))


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_a_summary_and_an_erasure_lock_in_the_same_order(
    database: Database, rivals: list[Database], builder: ChatBuilder
) -> None:
    """Though the person said something after what was summarised. SQLite has one writer."""
    old = await builder.filled(4)
    new = (await Successors(database).create_continuation(old, "U1", None)).chat
    _, _, later, _ = await builder.chats.messages(old.id)
    async with rivals[1].begin() as erasing:
        emptied = update(messages).where(messages.c.id == later.id)
        await erasing.execute(emptied.values(text="(erased)"))
        storing = asyncio.create_task(
            Successors(database).set_summary(new.id, "summary", through=2, people=1)
        )
        await until_one_waits(rivals[0])
        await erasing.execute(update(chats).where(chats.c.id == old.id).values(quoted=None))
    assert (await storing).thread_context == "summary"


async def until_one_waits(database: Database) -> None:
    """Returns when a transaction waits for a lock of another one."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(WAIT_TIMEOUT), database.read() as connection:
        while not await connection.scalar(waiting):
            await connection.rollback()
            await asyncio.sleep(0.01)


async def test_what_was_erased_from_both_chats_stays_so(
    database: Database, builder: ChatBuilder
) -> None:
    """Even if the earlier chat quotes somebody again, an erasure comes to its end."""
    read = await read_before(database, builder)
    branch = await branched(database, builder, read, "other")
    await Eraser(Erasure(database)).erase(Selection(user=GONE))
    async with database.begin() as connection:
        again = update(chats).where(chats.c.id == read.id)
        await connection.execute(again.values(quoted=to_quoted(["U0OTHER"])))
    async with asyncio.timeout(WAIT_TIMEOUT):
        await Eraser(Erasure(database)).erase(Selection(user=User("T1", "U0NOBODY")))
    async with database.read() as connection:
        quoted = select(chats.c.context, chats.c.quoted).where(chats.c.id == branch.id)
        assert (await connection.execute(quoted)).one() == ("(erased)", None)
