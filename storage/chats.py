"""Chats and their messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    exists,
    false,
    func,
    insert,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import (
    DEFAULT_TITLE,
    Chat,
    Image,
    Message,
    ModelRef,
    SharedFile,
    Thread,
    TitleBy,
    User,
)
from bot.errors import ChatBusy, ChatNotFound, LimitReached
from storage.chat_list import ChatPage, list_chats
from storage.engine.database import Conflict, Database
from storage.engine.types import new_id, utc_now
from storage.images import ImageBudget, MessageImages
from storage.messages import (
    NewMessage,
    StoredMessage,
    find_by_request,
    find_by_source,
    has_open_answer,
    reserve_pair,
    store_message,
)
from storage.queries import (
    COUNT_AUTHORS,
    SELECT_CHAT,
    SELECT_CHAT_AND_OPEN_REQUEST,
    SELECT_CHAT_BY_THREAD,
    SELECT_HISTORY,
)
from storage.rows import files_to_json, image_rows, to_chat, to_message
from storage.tables import attachments, chats, messages, participants, questions

__all__ = ["ChatPage", "Chats", "ImageBudget", "NewMessage", "StoredMessage"]


class Chats:
    """Every method is one transaction or one read; all raise StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self,
        *,
        team: str,
        owner: str,
        model: ModelRef,
        message: NewMessage,
        thread: Thread | None = None,
        context: str | None = None,
        header_ts: str | None = None,
        question_id: str | None = None,
        limit: int = 100,
    ) -> StoredMessage:
        """Store a chat with its first exchange: all of it or nothing.

        Where the place has a chat already, a message known by its source or its question is given back as a
        duplicate, and any other one is said in that chat. Raises LimitReached.
        """
        chat = _new_chat(team, owner, model, thread=thread, context=context, header_ts=header_ts)
        try:
            return await self._start(chat, message, question_id, limit)
        except (
            Conflict
        ):  # another delivery of the same, or another question in the same thread, was quicker
            return await self._start(chat, message, question_id, limit)

    async def _start(
        self, chat: Chat, message: NewMessage, question_id: str | None, limit: int
    ) -> StoredMessage:
        async with self._database.begin() as connection:
            if used := await find_by_request(connection, question_id):
                return used
            there = None if chat.thread is None else await _by_place(connection, chat.thread)
            if there is not None:
                return await _say(connection, there.id, message, limit, question_id)
            await _insert(connection, chat)
            return await _say(connection, chat.id, message, limit, question_id)

    async def create(
        self, *, team: str, owner: str, model: ModelRef, title: str = DEFAULT_TITLE
    ) -> Chat:
        """Store an empty chat that stands nowhere in Slack; lists show it from its first message on."""
        chat = _new_chat(team, owner, model, title=title)
        async with self._database.begin() as connection:
            await _insert(connection, chat)
        return chat

    async def add_message(
        self, chat_id: str, message: NewMessage, *, limit: int = 100, alone: bool = False
    ) -> StoredMessage:
        """Store the next exchange of a chat.

        The same source again gives the stored one as a duplicate, whatever the limit says by now. `alone`: not behind
        an answer that has not ended. Raises LimitReached, ChatBusy (nothing is stored) and ChatNotFound.
        """
        try:
            async with self._database.begin() as connection:
                return await _say(connection, chat_id, message, limit, alone=alone)
        except Conflict:  # the same message was delivered twice at the same moment
            async with self._database.begin() as connection:
                return await _say(connection, chat_id, message, limit, alone=alone)

    async def find_by_thread(self, thread: Thread) -> Chat | None:
        async with self._database.read() as connection:
            return await _by_place(connection, thread)

    async def chat_and_open_request(self, thread: Thread, user: str) -> tuple[Chat | None, bool]:
        """The chat in this thread, and whether an open question of this person waits there.

        One look for both: most threads have neither, and most of what Slack tells is said there.
        """
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    SELECT_CHAT_AND_OPEN_REQUEST, {**_at(thread), "user": user}
                )
            ).one()
        return None if row.id is None else to_chat(row), bool(row.waits)

    async def get(self, chat_id: str) -> Chat:
        """Raises ChatNotFound."""
        async with self._database.read() as connection:
            return _found((await connection.execute(SELECT_CHAT, {"chat": chat_id})).one_or_none())

    async def get_for(self, user: User, chat_id: str) -> Chat:
        """The chat, if this person started it or took part in it and may see it still. Raises ChatNotFound."""
        part = select(participants.c.user).where(
            participants.c.chat_id == chat_id,
            participants.c.team == user.team,
            participants.c.user == user.id,
        )
        away = part.where(participants.c.away == true())
        allowed = and_(or_(chats.c.owner == user.id, part.exists()), not_(away.exists()))
        async with self._database.read() as connection:
            query = select(chats).where(chats.c.id == chat_id, chats.c.team == user.team, allowed)
            return _found((await connection.execute(query)).one_or_none())

    async def messages(self, chat_id: str) -> list[Message]:
        """All messages in order, without their images."""
        query = select(messages).where(messages.c.chat_id == chat_id).order_by(messages.c.number)
        async with self._database.read() as connection:
            return [to_message(row) for row in await connection.execute(query)]

    async def message(self, message_id: str) -> Message:
        """One message, with its images. Raises ChatNotFound."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(messages).where(messages.c.id == message_id))
            ).one_or_none()
            if row is None:
                raise ChatNotFound("no such message")
            held = await MessageImages.load(connection, messages.c.id == message_id)
        return held.to_message(row)

    async def newest_message_ids(self, chat_ids: Sequence[str]) -> dict[str, str]:
        """For each of these chats that has messages, the id of the newest one."""
        last = and_(messages.c.chat_id == chats.c.id, messages.c.number == chats.c.message_count)
        query = (
            select(chats.c.id, messages.c.id.label("newest"))
            .join(messages, last)
            .where(chats.c.id.in_(chat_ids))
        )
        async with self._database.read() as connection:
            return {row.id: row.newest for row in await connection.execute(query)}

    async def history(
        self, chat_id: str, before_number: int, *, most: ImageBudget | None = None
    ) -> list[Message]:
        """What a model is told before it writes message `before_number`: in order, with images.

        Answers that failed, are empty, or are not finished are left out. With `most` only the newest images that it
        allows are read; of the others `Message.omitted` tells the names.
        """
        async with self._database.read() as connection:
            rows = (
                await connection.execute(SELECT_HISTORY, {"chat": chat_id, "before": before_number})
            ).all()
            if not any(row.has_images for row in rows):
                return [to_message(row) for row in rows]
            before = and_(messages.c.chat_id == chat_id, messages.c.number < before_number)
            held = await MessageImages.load(connection, before, most)
        return [held.to_message(row) for row in rows]

    async def store_loaded_files(
        self,
        message: Message,
        *,
        more: str,
        images: tuple[Image, ...],
        files: tuple[SharedFile, ...],
    ) -> bool:
        """The message's files were looked at: text to add to its own, images, and the files that are left.

        False when somebody else did it meanwhile: then nothing is stored.
        """
        same = and_(messages.c.id == message.id, messages.c.files == files_to_json(message.files))
        more_text = (
            messages.c.text + more
        )  # not `message.text`: its spelling may have changed meanwhile
        changed = (
            update(messages)
            .where(same)
            .values(text=more_text, files=files_to_json(files), updated_at=utc_now())
        )
        async with self._database.begin() as connection:
            if (await connection.execute(changed)).rowcount == 0:
                return False
            if images:
                held = (
                    select(func.count())
                    .select_from(attachments)
                    .where(attachments.c.message_id == message.id)
                )
                begin = await connection.scalar(held) or 0
                await connection.execute(insert(attachments), image_rows(images, message.id, begin))
        return True

    async def list_for(
        self,
        user: User,
        *,
        limit: int,
        cursor: str | None = None,
        words: str | None = None,
        newer: bool = False,
    ) -> ChatPage:
        """A page of the person's chats, the most recently active first: after the cursor, or with `newer` before it.

        With `words`, only chats in which each of them occurs, in the title or in some message, whatever its case.
        Raises InvalidInput for a cursor that is none of ours.
        """
        async with self._database.read(plan_anew=bool(words)) as connection:
            return await list_chats(
                connection,
                user,
                limit=limit,
                cursor=cursor,
                words=(words or "").split(),
                newer=newer,
            )

    async def set_away(self, user: User, channel: str, away: bool) -> None:
        """The person has left a private channel, or is back: the chats there leave the own list, or return to it."""
        there = select(chats.c.id).where(chats.c.team == user.team, chats.c.channel == channel)
        theirs = and_(
            participants.c.team == user.team,
            participants.c.user == user.id,
            participants.c.away != away,
            participants.c.chat_id.in_(there),
        )
        async with self._database.begin() as connection:
            await connection.execute(update(participants).where(theirs).values(away=away))

    async def any_in_channel(self, team: str, channel: str) -> bool:
        """Whether some chat stands in this channel."""
        query = select(exists().where(chats.c.team == team, chats.c.channel == channel))
        async with self._database.read() as connection:
            return bool(await connection.scalar(query))

    async def move_channel(self, team: str, old: str, new: str) -> None:
        """Slack gave a channel another id: what stands in it moves along, unless something stands there already."""
        async with self._database.begin() as connection:
            for table, within in ((chats, chats.c.thread), (questions, questions.c.ts)):
                there = table.alias("there")
                taken = exists().where(
                    there.c.team == team, there.c.channel == new, there.c[within.name] == within
                )
                moved = and_(table.c.team == team, table.c.channel == old, not_(taken))
                await connection.execute(update(table).where(moved).values(channel=new))

    async def replace_text(self, thread: Thread, ts: str, before: str, after: str) -> None:
        """The text of a Slack message is spelt with names now that they are known, wherever it has got to."""
        here = select(chats.c.id).where(
            chats.c.team == thread.team,
            chats.c.channel == thread.channel,
            chats.c.thread == thread.ts,
        )
        asked = and_(
            questions.c.team == thread.team,
            questions.c.channel == thread.channel,
            questions.c.source == ts,
        )
        said = and_(messages.c.chat_id.in_(here), messages.c.source == ts)
        async with self._database.begin() as connection:
            await connection.execute(
                update(questions).where(asked, questions.c.text == before).values(text=after)
            )
            await connection.execute(
                update(messages).where(said, messages.c.text == before).values(text=after)
            )

    async def set_title(self, chat_id: str, title: str, by: TitleBy) -> bool:
        """Whether the title was set: a model's replaces the default alone, a person's replaces any."""
        may = chats.c.id == chat_id
        if by is TitleBy.MODEL:
            may = and_(may, chats.c.title_by == TitleBy.DEFAULT)
        return await self._update(may, title=title, title_by=by)

    async def set_header(self, chat_id: str, ts: str | None) -> None:
        """Remember the Slack message that shows title, model and Stop. Raises ChatNotFound."""
        if not await self._update(chats.c.id == chat_id, header_ts=ts):
            raise ChatNotFound(chat_id)

    async def author_count(self, chat_id: str) -> int:
        """How many different people have written in this chat."""
        async with self._database.read() as connection:
            return await connection.scalar(COUNT_AUTHORS, {"chat": chat_id}) or 0

    async def participants(self, chat_id: str) -> list[User]:
        """Everybody who has the chat in the own list, its owner among them once something was said."""
        having = and_(participants.c.chat_id == chat_id, participants.c.away == false())
        query = select(participants).where(having).order_by(participants.c.user)
        async with self._database.read() as connection:
            return [User(row.team, row.user) for row in await connection.execute(query)]

    async def _update(self, where: ColumnElement[bool], **values: str | None) -> bool:
        async with self._database.begin() as connection:
            done = await connection.execute(
                update(chats).where(where).values(updated_at=utc_now(), **values)
            )
            return done.rowcount > 0


def _new_chat(
    team: str,
    owner: str,
    model: ModelRef,
    *,
    title: str = DEFAULT_TITLE,
    thread: Thread | None = None,
    context: str | None = None,
    header_ts: str | None = None,
) -> Chat:
    now = utc_now()
    return Chat(
        id=new_id(),
        team=team,
        owner=owner,
        title=title,
        title_by=TitleBy.DEFAULT if title == DEFAULT_TITLE else TitleBy.PERSON,
        model=model,
        message_count=0,
        created_at=now,
        updated_at=now,
        thread=thread,
        header_ts=header_ts,
        thread_context=context,
    )


async def _insert(connection: AsyncConnection, chat: Chat) -> None:
    await connection.execute(
        chats.insert().values(
            id=chat.id,
            team=chat.team,
            channel=chat.thread and chat.thread.channel,
            thread=chat.thread and chat.thread.ts,
            owner=chat.owner,
            title=chat.title,
            title_by=chat.title_by,
            provider=chat.model.provider,
            model=chat.model.name,
            message_count=0,
            header_ts=chat.header_ts,
            context=chat.thread_context,
            created_at=chat.created_at,
            updated_at=chat.updated_at,
        )
    )


async def _say(
    connection: AsyncConnection,
    chat_id: str,
    message: NewMessage,
    limit: int,
    question_id: str | None = None,
    *,
    alone: bool = False,
) -> StoredMessage:
    if known := await find_by_source(connection, chat_id, message.source):
        return known
    chat = await reserve_pair(connection, chat_id, limit)
    if chat is None:
        # The last room may have gone to this very message, delivered a moment ago.
        if known := await find_by_source(connection, chat_id, message.source):
            return known
        _found((await connection.execute(SELECT_CHAT, {"chat": chat_id})).one_or_none())
        raise LimitReached(chat_id)
    if alone and await has_open_answer(connection, chat_id):
        raise ChatBusy(chat_id)
    return await store_message(connection, chat, message, question_id)


def _found(row: Row[Any] | None) -> Chat:
    if row is None:
        raise ChatNotFound("no such chat")
    return to_chat(row)


def _at(thread: Thread) -> dict[str, str]:
    return {"team": thread.team, "channel": thread.channel, "thread": thread.ts}


async def _by_place(connection: AsyncConnection, thread: Thread) -> Chat | None:
    row = (await connection.execute(SELECT_CHAT_BY_THREAD, _at(thread))).one_or_none()
    return None if row is None else to_chat(row)
