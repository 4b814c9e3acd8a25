"""Chats: starting and finding them, their messages as history, their titles, headers and participants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    false,
    func,
    insert,
    select,
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
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.errors import ChatNotFound
from bot.usage.limits import NO_LIMITS, Limits
from storage.engine.database import Conflict, Database
from storage.engine.types import utc_now
from storage.messages import NewMessage, StoredMessage
from storage.statements.channel_moves import move_channel, set_away
from storage.statements.chat_list import ChatPage, list_chats, select_visible
from storage.statements.history import load_history, load_unanswered, name_authors, replace_text
from storage.statements.images import ImageBudget, MessageImages
from storage.statements.messages import (
    add_message,
    check_new,
    find_by_request,
    load_chat,
    store_loaded_files,
)
from storage.statements.queries import (
    COUNT_AUTHORS,
    SELECT_CHAT_AND_OPEN_REQUEST,
    SELECT_CHAT_BY_THREAD,
)
from storage.statements.rows import chat_row, new_chat, to_chat, to_message
from storage.statements.search import SearchLimits
from storage.statements.titles import set_written_title
from storage.tables import chats, messages, participants


class Chats:
    """The repository of chats.

    Every method is one transaction or one read, and raises StorageError when the database fails.
    """

    def __init__(
        self,
        database: Database,
        *,
        limits: Limits = NO_LIMITS,
        search_limits: SearchLimits = SearchLimits(),
        channels: Sequence[str] = (),
    ) -> None:
        """`limits`: what people may use. `channels`: patterns of the channels whose chats are listed; empty: all."""
        self._channels = channels
        self._database = database
        self._limits = limits
        self._search_limits = search_limits

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
        instructions: str = "",
        options: ModelOptions = NO_OPTIONS,
        request_id: str | None = None,
        limit: int = 100,
    ) -> StoredMessage:
        """Stores a chat with its first message and the answer to it: all of it or nothing.

        If the thread has a chat already, the message is added to that chat. A message already stored under its source
        or request is returned as a duplicate. Raises LimitReached, BudgetReached.
        """
        chat = new_chat(
            team=team,
            owner=owner,
            model=model,
            thread=thread,
            context=context,
            header_ts=header_ts,
            instructions=instructions,
            options=options,
        )
        try:
            return await self._start(chat, message, request_id, limit)
        except Conflict:
            # Another delivery of the same message, or another request in the same thread, was faster.
            return await self._start(chat, message, request_id, limit)

    async def _start(
        self, chat: Chat, message: NewMessage, request_id: str | None, limit: int
    ) -> StoredMessage:
        async with self._database.begin() as connection:
            if stored := await find_by_request(connection, request_id):
                return stored
            existing = None
            if chat.thread is not None:
                existing = await _find_by_thread(connection, chat.thread)
            if existing is None:
                await connection.execute(insert(chats), chat_row(chat))
            return await add_message(
                connection,
                (existing or chat).id,
                message,
                limit=limit,
                limits=self._limits,
                request_id=request_id,
            )

    async def create(
        self,
        *,
        team: str,
        owner: str,
        model: ModelRef,
        title: str = DEFAULT_TITLE,
        options: ModelOptions = NO_OPTIONS,
    ) -> Chat:
        """Stores an empty chat without a Slack thread. It is not listed until its first message."""
        chat = new_chat(team=team, owner=owner, model=model, title=title, options=options)
        async with self._database.begin() as connection:
            await connection.execute(insert(chats), chat_row(chat))
        return chat

    async def add_message(
        self,
        chat_id: str,
        message: NewMessage,
        *,
        limit: int = 100,
        reject_if_busy: bool = False,
    ) -> StoredMessage:
        """Stores the next message of a chat and its waiting answer.

        A known source returns the stored message as a duplicate, even if the chat is full by now. `reject_if_busy`:
        raise ChatBusy and store nothing if an answer has not ended. Raises LimitReached, BudgetReached, ChatNotFound.
        """
        try:
            return await self._add_message(chat_id, message, limit, reject_if_busy)
        except Conflict:  # the same message was delivered twice at the same moment
            return await self._add_message(chat_id, message, limit, reject_if_busy)

    async def check_new(
        self, chat_id: str, message: NewMessage, *, limit: int
    ) -> StoredMessage | None:
        """What `add_message` with `reject_if_busy` would do with a message: None if it would store it now.

        Returns the stored message of a known source; raises LimitReached, ChatBusy, ChatNotFound.
        """
        async with self._database.read() as connection:
            return await check_new(connection, chat_id, message, limit=limit)

    async def _add_message(
        self, chat_id: str, message: NewMessage, limit: int, reject_if_busy: bool
    ) -> StoredMessage:
        async with self._database.begin() as connection:
            return await add_message(
                connection,
                chat_id,
                message,
                limit=limit,
                limits=self._limits,
                reject_if_busy=reject_if_busy,
            )

    async def find_by_thread(self, thread: Thread) -> Chat | None:
        async with self._database.read() as connection:
            return await _find_by_thread(connection, thread)

    async def chat_and_open_request(
        self, thread: Thread, user: str
    ) -> tuple[Chat | None, bool, bool]:
        """The chat in this thread, and whether this user, or anybody, has an open chat request there.

        One query for all of it, because most messages from Slack are in threads with neither.
        """
        async with self._database.read() as connection:
            parameters = {**_thread_parameters(thread), "user": user}
            row = (await connection.execute(SELECT_CHAT_AND_OPEN_REQUEST, parameters)).one()
        chat = None if row.id is None else to_chat(row)
        return chat, bool(row.has_open_request), bool(row.any_open_request)

    async def get(self, chat_id: str) -> Chat:
        """Raises ChatNotFound."""
        async with self._database.read() as connection:
            return await load_chat(connection, chat_id)

    async def get_visible_to(self, user: User, chat_id: str) -> Chat:
        """The chat, if this user started it or took part in it, or in the chat that it continues, and can still see it.

        Raises ChatNotFound.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select_visible(user, chat_id))).one_or_none()
        if row is None:
            raise ChatNotFound("no such chat")
        return to_chat(row)

    async def messages(self, chat_id: str) -> list[Message]:
        """All messages of a chat in order, without their images."""
        query = select(messages).where(messages.c.chat_id == chat_id).order_by(messages.c.number)
        async with self._database.read() as connection:
            return [to_message(row) for row in await connection.execute(query)]

    async def text_length(self, chat_id: str) -> int:
        """Characters of all messages of a chat together."""
        total = select(func.sum(func.length(messages.c.text))).where(messages.c.chat_id == chat_id)
        async with self._database.read() as connection:
            return int(await connection.scalar(total) or 0)

    async def message(self, message_id: str) -> Message:
        """One message, with the names of its images. Raises ChatNotFound."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(messages).where(messages.c.id == message_id))
            ).one_or_none()
            if row is None:
                raise ChatNotFound("no such message")
            same = messages.c.id == message_id
            images = await MessageImages.load(connection, same, ImageBudget(0, 0))
        return images.to_message(row)

    async def newest_message_ids(self, chat_ids: Sequence[str]) -> dict[str, str]:
        """The id of the newest message of each of these chats, leaving out chats without messages."""
        last = and_(messages.c.chat_id == chats.c.id, messages.c.number == chats.c.message_count)
        query = (
            select(chats.c.id, messages.c.id.label("newest"))
            .join(messages, last)
            .where(chats.c.id.in_(chat_ids))
        )
        async with self._database.read() as connection:
            return {row.id: row.newest for row in await connection.execute(query)}

    async def history(
        self, chat_id: str, before_number: int, *, budget: ImageBudget | None = None
    ) -> list[Message]:
        """The messages that a model is sent before it writes message `before_number`: in order, with images.

        Failed, empty and unfinished answers are left out. With a `budget` only the newest images within it are read;
        `Message.omitted_images` names the others.
        """
        async with self._database.read() as connection:
            return await load_history(connection, chat_id, before_number, budget)

    async def transcript_of(self, message_id: str) -> str:
        """The transcript of the message's voice clips."""
        query = select(messages.c.spoken).where(messages.c.id == message_id)
        async with self._database.read() as connection:
            return await connection.scalar(query) or ""

    async def unanswered(self, chat_id: str, before_number: int) -> dict[str, Message]:
        """The answers that `history` leaves out, by the id of their question."""
        async with self._database.read() as connection:
            return await load_unanswered(connection, chat_id, before_number)

    async def keep_author_names(self, chat_id: str, names: Mapping[str, str]) -> None:
        """The names, by user id, by which the model will know the authors of this chat's messages."""
        async with self._database.begin() as connection:
            await name_authors(connection, chat_id, names)

    async def store_loaded_files(
        self,
        message: Message,
        *,
        more_text: str,
        images: tuple[Image, ...],
        files: tuple[SharedFile, ...],
        transcript: str | None = None,
    ) -> bool:
        """Stores the content of a message's files: text to append, images, and the remaining files.

        `transcript`: the part of the text that is a transcript, which is due to be shown.

        False, and nothing is stored, if another caller has done so first.
        """
        async with self._database.begin() as connection:
            return await store_loaded_files(
                connection, message, more_text, images, files, transcript
            )

    async def list_for(
        self,
        user: User,
        *,
        limit: int,
        cursor: str | None = None,
        words: str | None = None,
        newer: bool = False,
    ) -> ChatPage:
        """A page of the user's chats, most recently active first: after the cursor, or with `newer` before it.

        With `words`, only chats that contain each of them, in the title or in a message, ignoring case. Raises
        InvalidInput for an invalid cursor.
        """
        database = self._database
        async with database.search() if words else database.read() as connection:
            return await list_chats(
                connection,
                user,
                limit=limit,
                cursor=cursor,
                words=(words or "").split(),
                newer=newer,
                limits=self._search_limits,
                channels=self._channels,
            )

    async def set_away(self, user: User, channel: str, away: bool) -> None:
        """The user has left a private channel, or returned to it: its chats leave the user's list, or return to it."""
        async with self._database.begin() as connection:
            await set_away(connection, user, channel, away)

    async def any_in_channel(self, team: str, channel: str) -> bool:
        """Whether any chat is in this channel."""
        query = select(exists().where(chats.c.team == team, chats.c.channel == channel))
        async with self._database.read() as connection:
            return bool(await connection.scalar(query))

    async def move_channel(self, team: str, old: str, new: str) -> None:
        """Slack gave a channel another id: its chats and requests get it too, unless the same thread already exists
        there.
        """
        async with self._database.begin() as connection:
            await move_channel(connection, team, old, new)

    async def replace_text(self, thread: Thread, ts: str, before: str, after: str) -> None:
        """Replaces the text of a Slack message, whose mentions are now names, in its request and in its chat."""
        async with self._database.begin() as connection:
            await replace_text(connection, thread, ts, before, after)

    async def set_title(self, chat_id: str, title: str, by: TitleBy, *, people: int = 1) -> bool:
        """Sets the title; returns whether it was set. A model's title only replaces the default, a user's any.

        `people`: for a model's title, those of the first message when it was read.
        """
        if by is TitleBy.MODEL:
            async with self._database.begin() as connection:
                return await set_written_title(connection, chat_id, title, people)
        return await self._update(chats.c.id == chat_id, title=title, title_by=by)

    async def set_header(self, chat_id: str, ts: str | None) -> None:
        """Stores which Slack message shows title, model and Stop button. Raises ChatNotFound."""
        if not await self._update(chats.c.id == chat_id, header_ts=ts):
            raise ChatNotFound(chat_id)

    async def author_count(self, chat_id: str) -> int:
        """How many people have written in this chat."""
        async with self._database.read() as connection:
            return await connection.scalar(COUNT_AUTHORS, {"chat": chat_id}) or 0

    async def participants(self, chat_id: str) -> list[User]:
        """All users who have the chat in their lists: its owner from the first message on, and everyone who wrote."""
        present = and_(participants.c.chat_id == chat_id, participants.c.away == false())
        query = select(participants).where(present).order_by(participants.c.user)
        async with self._database.read() as connection:
            return [User(row.team, row.user) for row in await connection.execute(query)]

    async def _update(self, where: ColumnElement[bool], **values: str | None) -> bool:
        async with self._database.begin() as connection:
            done = await connection.execute(
                update(chats).where(where).values(updated_at=utc_now(), **values)
            )
            return done.rowcount > 0


def _thread_parameters(thread: Thread) -> dict[str, str]:
    return {"team": thread.team, "channel": thread.channel, "thread": thread.ts}


async def _find_by_thread(connection: AsyncConnection, thread: Thread) -> Chat | None:
    row = (
        await connection.execute(SELECT_CHAT_BY_THREAD, _thread_parameters(thread))
    ).one_or_none()
    return None if row is None else to_chat(row)
