"""Chats that continue another one: at most one for each, from the request for it to its thread in Slack."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update

from bot.domain import DEFAULT_TITLE, Chat, TitleBy
from storage.engine.database import Database
from storage.engine.types import database_time, new_id, utc_now
from storage.queries import dialect_insert
from storage.rows import chat_row, to_chat
from storage.tables import chats


@dataclass(frozen=True, slots=True)
class Continuation:
    """A chat that continues another one, and where it is to be in Slack."""

    chat: Chat
    channel: str | None
    """None for a chat of the API alone."""


class Continuations:
    """The repository of continuations. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, old: Chat, owner: str, channel: str | None) -> Continuation:
        """The chat that continues `old`, new or not. `channel`: where it is to get a thread, unless it has a place."""
        now = utc_now()
        chat = Chat(
            id=new_id(),
            team=old.team,
            owner=owner,
            title=DEFAULT_TITLE,
            title_by=TitleBy.DEFAULT,
            model=old.model,
            message_count=0,
            created_at=now,
            updated_at=now,
            continues=old.id,
            stop_shown=False,
        )
        row = chat_row(chat) | {"channel": channel}
        same = chats.c.continues == old.id
        async with self._database.begin() as connection:
            insert = dialect_insert(connection, chats)
            await connection.execute(insert.values(row).on_conflict_do_nothing())
            if channel is not None:
                homeless = and_(same, chats.c.channel.is_(None))
                await connection.execute(update(chats).where(homeless).values(channel=channel))
            found = (await connection.execute(select(chats).where(same))).one()
            return Continuation(to_chat(found), found.channel)

    async def of(self, chat_id: str) -> Chat | None:
        """The chat that continues this one."""
        async with self._database.read() as connection:
            query = select(chats).where(chats.c.continues == chat_id)
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_chat(row)

    async def set_summary(self, chat_id: str, text: str) -> Chat:
        """Stores what is known of the earlier chat, unless something is stored already."""
        return await self._fill(chat_id, chats.c.context.is_(None), context=text)

    async def set_thread(self, chat_id: str, ts: str) -> Chat:
        """Stores the message that begins its thread, unless one is stored already: it is the header too."""
        return await self._fill(chat_id, chats.c.thread.is_(None), thread=ts, header_ts=ts)

    async def without_thread(self, older_than_seconds: float, limit: int) -> list[Continuation]:
        """Continuations older than this that are to be in Slack and have no thread there, the oldest first."""
        query = (
            select(chats)
            .where(
                chats.c.continues.is_not(None),
                chats.c.channel.is_not(None),
                chats.c.thread.is_(None),
                chats.c.created_at <= database_time(-older_than_seconds),
            )
            .order_by(chats.c.created_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [Continuation(to_chat(row), row.channel) for row in rows]

    async def give_up_thread(self, chat_id: str) -> None:
        """It cannot be posted in Slack, so it is to be there no more."""
        await self._fill(chat_id, chats.c.thread.is_(None), channel=None)

    async def _fill(self, chat_id: str, where: ColumnElement[bool], **values: str | None) -> Chat:
        same = chats.c.id == chat_id
        async with self._database.begin() as connection:
            await connection.execute(update(chats).where(same, where).values(**values))
            return to_chat((await connection.execute(select(chats).where(same))).one())
