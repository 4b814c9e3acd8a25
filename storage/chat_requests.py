"""ChatRequests whose model is not chosen yet: a mention is a row from the moment Slack delivered it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import ModelRef, SharedFile, Thread
from bot.errors import ChatNotFound
from storage.engine.database import Database
from storage.engine.types import database_time, new_id, utc_now
from storage.queries import dialect_insert
from storage.rows import files_from_json, files_to_json
from storage.tables import chats, messages, questions

_IS_OPEN = questions.c.state == "open"
_NOT_POSTED = and_(questions.c.text.is_not(None), questions.c.source.is_(None))


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a person asked, or has yet to ask, before there is a chat."""

    id: str
    thread: Thread
    """The thread where the menu stands and the chat will."""
    ts: str
    """The Slack message that mentioned the bot."""
    user: str
    created_at: datetime
    user_team: str | None = None
    user_name: str | None = None
    text: str | None = field(default=None, repr=False)
    """None as long as the person has said nothing but the bot's name."""
    source: str | None = None
    """The Slack message that holds the text: the first user message's source. None for what was asked in a dialog and
    does not stand in Slack yet."""
    files: tuple[SharedFile, ...] = ()
    context: str | None = field(default=None, repr=False)
    """What people had said in the thread before."""
    context_files: tuple[SharedFile, ...] = ()
    """What they had shared there."""
    model: ModelRef | None = None
    """What the person has chosen."""
    menu_ts: str | None = None
    """The Slack message that holds the menu, once Slack has confirmed it."""
    open: bool = True
    """It has neither become a chat's message nor been given up."""
    message_id: str | None = None
    """The user message that it has become."""

    @property
    def needs_context(self) -> bool:
        """It was asked in a thread of people, of which nothing is known yet."""
        return self.context is None and self.mention_ts is not None and self.thread.ts != self.ts

    @property
    def mention_ts(self) -> str | None:
        """The ts of the Slack message that turned to the bot; None for what was asked in a dialog."""
        return self.ts if "." in self.ts else None


class ChatRequests:
    """Every method is one transaction or one read; all raise StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        *,
        thread: Thread,
        ts: str,
        user: str,
        user_team: str | None = None,
        user_name: str | None = None,
        text: str | None = None,
        files: tuple[SharedFile, ...] = (),
        context: str | None = None,
        model: ModelRef | None = None,
        in_dialog: bool = False,
    ) -> tuple[ChatRequest, bool]:
        """Store a question; False beside it when this Slack message had been stored before.

        `in_dialog`: no Slack message holds the text yet. `ts` is the dialog's id then, and the place says where the
        chat is wanted; its thread is empty where a new one is.
        """
        row = {
            "id": new_id(),
            "team": thread.team,
            "channel": thread.channel,
            "thread": thread.ts,
            "ts": ts,
            "user": user,
            "user_team": user_team,
            "user_name": user_name,
            "text": text or None,
            "source": ts if (text or files) and not in_dialog else None,
            "files": files_to_json(files),
            "context": context,
            "model": None if model is None else str(model),
            "state": "open",
            "created_at": utc_now(),
        }
        same = and_(
            questions.c.team == thread.team,
            questions.c.channel == thread.channel,
            questions.c.ts == ts,
        )
        async with self._database.begin() as connection:
            stored = await connection.scalar(
                dialect_insert(connection, questions)
                .values(row)
                .on_conflict_do_nothing()
                .returning(questions.c.id)
            )
            if (
                stored is None and files and not in_dialog
            ):  # one of a mention's two events may not have told of them
                bare = and_(_IS_OPEN, same, questions.c.files.is_(None))
                await connection.execute(
                    update(questions).where(bare).values(files=files_to_json(files), source=ts)
                )
            return await _one(connection, same), stored is not None

    async def get(self, request_id: str) -> ChatRequest:
        """Raises ChatNotFound."""
        async with self._database.read() as connection:
            return await _one(connection, questions.c.id == request_id)

    async def find_open(self, thread: Thread, user: str) -> ChatRequest | None:
        """The newest open question of this person in this thread; one that has no text yet before all others."""
        where = and_(
            _IS_OPEN,
            questions.c.team == thread.team,
            questions.c.channel == thread.channel,
            questions.c.thread == thread.ts,
            questions.c.user == user,
        )
        order = (
            questions.c.text.is_(None).desc(),
            questions.c.created_at.desc(),
            questions.c.id.desc(),
        )
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(questions).where(where).order_by(*order).limit(1))
            ).one_or_none()
            return None if row is None else _to_request(row)

    async def others_without_model(self, request: ChatRequest) -> list[ChatRequest]:
        """What the same person has asked besides, in the same thread, and what has no model yet; the oldest first."""
        where = and_(
            _IS_OPEN,
            questions.c.id != request.id,
            questions.c.team == request.thread.team,
            questions.c.channel == request.thread.channel,
            questions.c.thread == request.thread.ts,
            questions.c.user == request.user,
            questions.c.model.is_(None),
            questions.c.source.is_not(None),
        )
        async with self._database.read() as connection:
            rows = (
                await connection.execute(select(questions).where(where).order_by(questions.c.id))
            ).all()
            return [_to_request(row) for row in rows]

    async def set_text(
        self, request_id: str, *, text: str, source: str, files: tuple[SharedFile, ...] = ()
    ) -> ChatRequest | None:
        """Give an open question its text, or files in place of one, beside those that it has.

        None when it has a text already, so that only one reply becomes it.
        """
        empty = and_(_IS_OPEN, questions.c.id == request_id, questions.c.text.is_(None))
        async with self._database.begin() as connection:
            done = await connection.execute(
                update(questions).where(empty).values(text=text or None, source=source)
            )
            if done.rowcount == 0:
                return None
            return await _add_files(connection, request_id, files)

    async def add_files(
        self, request_id: str, text: str, files: tuple[SharedFile, ...]
    ) -> ChatRequest:
        """More for a question that waits for its model: files, and what was said with them. Repeating it adds nothing.

        Raises ChatNotFound.
        """
        async with self._database.begin() as connection:
            before = await _one(connection, questions.c.id == request_id)
            after = await _add_files(connection, request_id, files)
            if not (after.open and text and len(after.files) > len(before.files)):
                return after
            whole = "\n".join([*([after.text] if after.text else ()), text])
            await connection.execute(
                update(questions).where(questions.c.id == request_id).values(text=whole)
            )
            return await _one(connection, questions.c.id == request_id)

    async def set_model(self, request_id: str, model: ModelRef) -> ChatRequest:
        """Keep the choice, if the question is still open (`ChatRequest.open` tells). Raises ChatNotFound."""
        return await self._set(request_id, model=str(model))

    async def set_menu(self, request_id: str, menu_ts: str) -> ChatRequest:
        """Remember the message that holds the menu, which Slack has confirmed, unless another is known already.

        `ChatRequest.menu_ts` tells which it is. Raises ChatNotFound.
        """
        first = and_(_IS_OPEN, questions.c.id == request_id, questions.c.menu_ts.is_(None))
        async with self._database.begin() as connection:
            await connection.execute(update(questions).where(first).values(menu_ts=menu_ts))
            return await _one(connection, questions.c.id == request_id)

    async def set_context(
        self, request_id: str, context: str | None, files: tuple[SharedFile, ...] = ()
    ) -> ChatRequest:
        """Keep what people had said and shared in the thread before. Raises ChatNotFound."""
        return await self._set(request_id, context=context, context_files=files_to_json(files))

    async def set_thread(self, request_id: str, thread: Thread, source: str | None) -> ChatRequest:
        """What was asked in a dialog stands in Slack now (`source`), or is to stand in another place (None).

        Raises ChatNotFound.
        """
        return await self._set(request_id, channel=thread.channel, thread=thread.ts, source=source)

    async def started_in_dialog(self, chat_id: str) -> bool:
        """Whether the chat's first message was asked in a dialog."""
        dialogs = not_(questions.c.ts.contains("."))  # every ts has a point, and no id of a dialog
        query = (
            select(questions.c.id)
            .join(messages, messages.c.id == questions.c.message_id)
            .where(messages.c.chat_id == chat_id, messages.c.number == 1, dialogs)
        )
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def close(self, request_id: str) -> ChatRequest:
        """Close a question that can no longer be asked, such as one in a channel that is gone. Raises ChatNotFound."""
        return await self._set(request_id, state="closed")

    async def without_menu(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open questions that need a menu which Slack has not confirmed in this time, the oldest first."""
        needs = or_(questions.c.text.is_(None), questions.c.model.is_(None))
        return await self._stale(
            and_(questions.c.menu_ts.is_(None), needs), older_than_seconds, limit
        )

    async def not_posted(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open questions from dialogs that do not stand in Slack after this time, the oldest first."""
        return await self._stale(_NOT_POSTED, older_than_seconds, limit)

    async def ready_to_start(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open questions that have both text and model and yet became no chat, the oldest first."""
        said = or_(questions.c.text.is_not(None), questions.c.files.is_not(None))
        complete = and_(said, questions.c.model.is_not(None), not_(_NOT_POSTED))
        return await self._stale(complete, older_than_seconds, limit)

    async def without_header(
        self, older_than_seconds: float, within_seconds: float, limit: int
    ) -> list[tuple[ChatRequest, str]]:
        """ChatRequests of this age that became chats without a header, and the ids of the chats; the oldest first."""
        old = questions.c.created_at <= database_time(-older_than_seconds)
        young = questions.c.created_at >= database_time(-within_seconds)
        query = (
            select(questions, messages.c.chat_id)
            .join(messages, messages.c.id == questions.c.message_id)
            .join(chats, chats.c.id == messages.c.chat_id)
            .where(
                questions.c.state == "used",
                old,
                young,
                messages.c.number == 1,
                chats.c.header_ts.is_(None),
            )
            .where(chats.c.channel.is_not(None))
            .order_by(questions.c.created_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(_to_request(row), row.chat_id) for row in await connection.execute(query)]

    async def header_not_shown(
        self, older_than_seconds: float, within_seconds: float, limit: int
    ) -> list[tuple[ChatRequest, str]]:
        """Requests whose chat began in this time and whose menu is not known to show the header; and the chats."""
        old = chats.c.created_at <= database_time(-older_than_seconds)
        young = chats.c.created_at >= database_time(-within_seconds)
        query = (
            select(questions, messages.c.chat_id)
            .join(messages, messages.c.id == questions.c.message_id)
            .join(chats, chats.c.id == messages.c.chat_id)
            .where(
                questions.c.state == "used",
                questions.c.created_at >= database_time(-86_400),
                old,
                young,
            )
            .where(
                messages.c.number == 1,
                questions.c.menu_ts.is_not(None),
                chats.c.header_ts == questions.c.menu_ts,
            )
            .order_by(questions.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(_to_request(row), row.chat_id) for row in await connection.execute(query)]

    async def mark_header_shown(self, request_id: str) -> None:
        """The menu of this question, which has become a chat, shows the chat's header now."""
        used = and_(questions.c.id == request_id, questions.c.state == "used")
        async with self._database.begin() as connection:
            await connection.execute(update(questions).where(used).values(state="shown"))

    async def _stale(
        self, where: ColumnElement[bool], seconds: float, limit: int
    ) -> list[ChatRequest]:
        query = (
            select(questions)
            .where(_IS_OPEN, where, questions.c.created_at <= database_time(-seconds))
            .order_by(questions.c.created_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            return [_to_request(row) for row in rows]

    async def _set(self, request_id: str, **values: str | None) -> ChatRequest:
        async with self._database.begin() as connection:
            await connection.execute(
                update(questions).where(_IS_OPEN, questions.c.id == request_id).values(**values)
            )
            return await _one(connection, questions.c.id == request_id)


async def _one(connection: AsyncConnection, where: ColumnElement[bool]) -> ChatRequest:
    row = (await connection.execute(select(questions).where(where))).one_or_none()
    if row is None:
        raise ChatNotFound("no such question")
    return _to_request(row)


async def _add_files(
    connection: AsyncConnection, request_id: str, files: tuple[SharedFile, ...]
) -> ChatRequest:
    """The question with these files too, each once. The row is locked: two replies may come at the same moment."""
    same = questions.c.id == request_id
    await connection.execute(update(questions).where(same).values(state=questions.c.state))
    held = await _one(connection, same)
    known = {file.id for file in held.files}
    whole = held.files + tuple(file for file in files if file.id not in known)
    await connection.execute(
        update(questions).where(_IS_OPEN, same).values(files=files_to_json(whole))
    )
    return await _one(connection, same)


def _to_request(row: Row[Any]) -> ChatRequest:
    return ChatRequest(
        id=row.id,
        thread=Thread(row.team, row.channel, row.thread),
        ts=row.ts,
        user=row.user,
        created_at=row.created_at,
        user_team=row.user_team,
        user_name=row.user_name,
        text=row.text,
        source=row.source,
        files=files_from_json(row.files),
        context=row.context,
        context_files=files_from_json(row.context_files),
        model=ModelRef.parse(row.model) if row.model else None,
        menu_ts=row.menu_ts,
        open=row.state == "open",
        message_id=row.message_id,
    )
