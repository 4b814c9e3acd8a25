"""The titles that models write for chats, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import DEFAULT_TITLE, TitleBy
from storage.engine.types import utc_now
from storage.statements.rows import people_of
from storage.tables import chats, messages


async def set_written_title(
    connection: AsyncConnection, chat_id: str, title: str, people: int
) -> bool:
    """Sets the title; returns whether it was set. It replaces only the default.

    `people`: of the first message, on which the title is based, when it was read. Not set if somebody has been erased
    from it since.
    """
    first = and_(messages.c.chat_id == chat_id, messages.c.number == 1)
    # The lock: nobody is erased from it before the transaction has ended.
    named = select(messages.c.author, messages.c.quoted).where(first).with_for_update(read=True)
    row = (await connection.execute(named)).one_or_none()
    if row is None or row.author is None or people_of(row) != people:
        return False
    untitled = update(chats).where(chats.c.id == chat_id, chats.c.title_by == TitleBy.DEFAULT)
    values = {"title": title, "title_by": TitleBy.MODEL, "updated_at": utc_now()}
    return (await connection.execute(untitled.values(values))).rowcount > 0


async def forget_titles(
    connection: AsyncConnection,
    message_ids: Sequence[str],
    by: Collection[TitleBy] = (TitleBy.MODEL,),
) -> None:
    """Removes titles based on these messages, since each is based on a chat's first.

    `by`: a branch of an erased person's chat also has the title, which they may have chosen.
    """
    begun = select(messages.c.chat_id).where(messages.c.id.in_(message_ids), messages.c.number == 1)
    titled = and_(chats.c.id.in_(begun), chats.c.title_by.in_(by))
    untitled = {"title": DEFAULT_TITLE, "title_by": TitleBy.DEFAULT}
    await connection.execute(update(chats).where(titled).values(untitled))
