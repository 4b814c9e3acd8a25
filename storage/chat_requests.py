"""Questions without a chat: a mention or a dialog is a row from the moment Slack delivers it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, not_, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import ModelRef, SharedFile, Thread
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.errors import ChatNotFound
from storage.engine.database import Database
from storage.engine.types import database_time, new_id, utc_now
from storage.served_teams import Serves, every_team, in_turns
from storage.statements.chat_request_rows import ChatRequest, to_request
from storage.statements.queries import dialect_insert
from storage.statements.quotes import to_quoted
from storage.statements.rows import files_to_json, options_row
from storage.tables import chats, messages, questions

__all__ = ["ChatRequest", "ChatRequests"]

_IS_OPEN = questions.c.state == "open"
_MAX_REQUEST_AGE = 86_400.0
"""Seconds before its chat started: older requests are not searched for a missing header in Slack."""
_NOT_POSTED = and_(questions.c.text.is_not(None), questions.c.source.is_(None))


class ChatRequests:
    """The repository of chat requests; unfinished ones are found in turns (`in_turns`).

    Every method is one transaction or one read, and raises StorageError when the database fails.
    """

    def __init__(self, database: Database, serves: Serves = every_team) -> None:
        """`serves`: the workspaces whose unfinished requests this process looks for."""
        self._database = database
        self._is_served = serves(questions.c.team)

    async def create(
        self,
        *,
        thread: Thread,
        ts: str,
        user: str,
        user_team: str | None = None,
        text: str | None = None,
        files: tuple[SharedFile, ...] = (),
        context: str | None = None,
        model: ModelRef | None = None,
        options: ModelOptions = NO_OPTIONS,
        in_dialog: bool = False,
    ) -> tuple[ChatRequest, bool]:
        """Stores a request. The second value is False when this Slack message had been stored before.

        `in_dialog`: no Slack message has the text yet. Then `ts` is the dialog's id, and `thread` is where the chat
        will be; its `ts` is empty for a new thread.
        """
        row = {
            "id": new_id(),
            "team": thread.team,
            "channel": thread.channel,
            "thread": thread.ts,
            "ts": ts,
            "user": user,
            "user_team": user_team,
            "text": text or None,
            "source": ts if (text or files) and not in_dialog else None,
            "files": files_to_json(files),
            "context": context,
            "model": None if model is None else str(model),
            **options_row(options),
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
            if stored is None and files and not in_dialog:
                await _give_late_files(connection, same, files, ts)
            return await _get(connection, same), stored is not None

    async def get(self, request_id: str) -> ChatRequest:
        """Raises ChatNotFound."""
        async with self._database.read() as connection:
            return await _get(connection, questions.c.id == request_id)

    async def find_open(self, thread: Thread, user: str) -> ChatRequest | None:
        """The newest open request of this user in this thread, preferring one without text."""
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
            return None if row is None else to_request(row)

    async def others_without_model(self, request: ChatRequest) -> list[ChatRequest]:
        """The same user's other posted requests in the same thread that have no model yet, oldest first."""
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
            return [to_request(row) for row in rows]

    async def set_text(
        self, request_id: str, *, text: str, source: str, files: tuple[SharedFile, ...] = ()
    ) -> ChatRequest | None:
        """Gives an open request its text, or files instead of a text; files are added to existing ones.

        None if it already has a text, so that only one reply becomes its text. The messages before it are read again,
        since some of them may have been read as messages after the mention.
        """
        without_text = and_(_IS_OPEN, questions.c.id == request_id, questions.c.text.is_(None))
        async with self._database.begin() as connection:
            done = await connection.execute(
                update(questions)
                .where(without_text)
                .values(text=text or None, source=source, read_until=None)
            )
            if done.rowcount == 0:
                return None
            return await _add_files(connection, request_id, files)

    async def add_files(
        self, request_id: str, text: str, files: tuple[SharedFile, ...]
    ) -> ChatRequest:
        """Adds files, and the text that came with them, to a request that waits for its model.

        Repeating it changes nothing. Raises ChatNotFound.
        """
        async with self._database.begin() as connection:
            before = await _get(connection, questions.c.id == request_id)
            after = await _add_files(connection, request_id, files)
            if not (after.open and text and len(after.files) > len(before.files)):
                return after
            whole = "\n".join([*([after.text] if after.text else ()), text])
            await connection.execute(
                update(questions).where(questions.c.id == request_id).values(text=whole)
            )
            return await _get(connection, questions.c.id == request_id)

    async def set_model(
        self, request_id: str, model: ModelRef, options: ModelOptions = NO_OPTIONS
    ) -> ChatRequest:
        """Stores the chosen model and its options if the request is still open.

        `ChatRequest.open` shows whether it was. Raises ChatNotFound.
        """
        return await self._update(request_id, model=str(model), **options_row(options))

    async def set_menu(self, request_id: str, menu_ts: str) -> ChatRequest:
        """Stores which Slack message has the menu, unless one is already stored; `ChatRequest.menu_ts` shows which.

        Raises ChatNotFound.
        """
        first = and_(_IS_OPEN, questions.c.id == request_id, questions.c.menu_ts.is_(None))
        async with self._database.begin() as connection:
            await connection.execute(update(questions).where(first).values(menu_ts=menu_ts))
            return await _get(connection, questions.c.id == request_id)

    async def note_message(self, thread: Thread, ts: str) -> bool:
        """Records for the thread's open requests that there is a new message to read. False: none is open."""
        news = or_(questions.c.said_until.is_(None), questions.c.said_until < ts)
        where = and_(
            _IS_OPEN,
            questions.c.team == thread.team,
            questions.c.channel == thread.channel,
            questions.c.thread == thread.ts,
        )
        async with self._database.begin() as connection:
            await connection.execute(update(questions).where(where, news).values(said_until=ts))
            found = await connection.execute(select(questions.c.id).where(where).limit(1))
            return found.first() is not None

    async def set_context(
        self,
        request_id: str,
        context: str | None,
        files: tuple[SharedFile, ...] = (),
        *,
        since: str | None = None,
        until: str | None = None,
        quoted: Collection[str] = (),
    ) -> ChatRequest:
        """Stores the messages and files that were in the thread before, and what was said `since`. Raises ChatNotFound.

        `until`: ts of the newest message that was read. `quoted`: Slack ids of others whose words or files these are.
        """
        return await self._update(
            request_id,
            context=context,
            context_files=files_to_json(files),
            said_since=since,
            read_until=until,
            quoted=to_quoted(quoted),
        )

    async def set_thread(self, request_id: str, thread: Thread, source: str | None) -> ChatRequest:
        """A dialog's request is now posted in Slack as the message `source`, or (None) will go to another thread.

        Raises ChatNotFound.
        """
        return await self._update(
            request_id, channel=thread.channel, thread=thread.ts, source=source
        )

    async def started_in_dialog(self, chat_id: str) -> bool:
        """Whether the chat's first message came from a dialog."""
        # Every timestamp contains a point, and no dialog's id does.
        from_dialog = not_(questions.c.ts.contains("."))
        query = (
            select(questions.c.id)
            .join(messages, messages.c.id == questions.c.message_id)
            .where(messages.c.chat_id == chat_id, messages.c.number == 1, from_dialog)
        )
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def close(self, request_id: str) -> ChatRequest:
        """Closes a request that cannot be answered, for example in a deleted channel. Raises ChatNotFound."""
        return await self._update(request_id, state="closed")

    async def without_menu(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open requests older than this whose needed menu has not been confirmed by Slack, oldest first."""
        needs = or_(questions.c.text.is_(None), questions.c.model.is_(None))
        return await self._stale(
            and_(questions.c.menu_ts.is_(None), needs), older_than_seconds, limit
        )

    async def mark_offered_again(self, request_id: str, *, pending: bool) -> None:
        """`pending`: a menu is about to be posted in place of a dead process's, which may still appear."""
        this = update(questions).where(questions.c.id == request_id)
        at = database_time() if pending else null()
        async with self._database.begin() as connection:
            await connection.execute(this.values(offered_again_at=at))

    async def offered_again(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Requests whose menu was posted again this long ago, oldest first, unless it is still being posted."""
        query = (
            select(questions)
            .where(
                questions.c.offered_again_at <= database_time(-older_than_seconds),
                or_(questions.c.menu_ts.is_not(None), not_(_IS_OPEN)),
                self._is_served,
            )
            .order_by(*in_turns(questions.c.team, questions.c.offered_again_at))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [to_request(row) for row in await connection.execute(query)]

    async def not_posted(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open requests from dialogs, older than this, that are not posted in Slack, oldest first."""
        return await self._stale(_NOT_POSTED, older_than_seconds, limit)

    async def ready_to_start(self, older_than_seconds: float, limit: int) -> list[ChatRequest]:
        """Open requests older than this with both text and model that have not started a chat, oldest first."""
        has_content = or_(questions.c.text.is_not(None), questions.c.files.is_not(None))
        complete = and_(has_content, questions.c.model.is_not(None), not_(_NOT_POSTED))
        return await self._stale(complete, older_than_seconds, limit)

    async def without_header(
        self, older_than_seconds: float, within_seconds: float, limit: int
    ) -> list[tuple[ChatRequest, str]]:
        """Requests of this age that started a chat without a header, and the chats' ids, oldest first."""
        return await self._with_started_chat(
            questions.c.created_at <= database_time(-older_than_seconds),
            questions.c.created_at >= database_time(-within_seconds),
            chats.c.header_ts.is_(None),
            chats.c.channel.is_not(None),
            order_by=questions.c.created_at,
            limit=limit,
        )

    async def header_not_shown(
        self, older_than_seconds: float, within_seconds: float, limit: int
    ) -> list[tuple[ChatRequest, str]]:
        """Requests whose chat is of this age and whose menu may not show the chat's header yet, and the chats' ids."""
        return await self._with_started_chat(
            questions.c.created_at >= database_time(-_MAX_REQUEST_AGE),
            chats.c.created_at <= database_time(-older_than_seconds),
            chats.c.created_at >= database_time(-within_seconds),
            questions.c.menu_ts.is_not(None),
            chats.c.header_ts == questions.c.menu_ts,
            order_by=questions.c.id,
            limit=limit,
        )

    async def mark_header_shown(self, request_id: str) -> None:
        """The menu of this request, which has started a chat, now shows the chat's header."""
        used = and_(questions.c.id == request_id, questions.c.state == "used")
        async with self._database.begin() as connection:
            await connection.execute(update(questions).where(used).values(state="shown"))

    async def _with_started_chat(
        self, *conditions: ColumnElement[bool], order_by: Column[Any], limit: int
    ) -> list[tuple[ChatRequest, str]]:
        """Requests that became the first message of a chat, with the chat's id."""
        query = (
            select(questions, messages.c.chat_id)
            .join(messages, messages.c.id == questions.c.message_id)
            .join(chats, chats.c.id == messages.c.chat_id)
            .where(
                questions.c.state == "used", messages.c.number == 1, self._is_served, *conditions
            )
            .order_by(*in_turns(questions.c.team, order_by))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(to_request(row), row.chat_id) for row in await connection.execute(query)]

    async def _stale(
        self, where: ColumnElement[bool], seconds: float, limit: int
    ) -> list[ChatRequest]:
        query = (
            select(questions)
            .where(
                _IS_OPEN,
                where,
                self._is_served,
                questions.c.created_at <= database_time(-seconds),
            )
            .order_by(*in_turns(questions.c.team, questions.c.created_at))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [to_request(row) for row in await connection.execute(query)]

    async def _update(self, request_id: str, **values: str | bool | None) -> ChatRequest:
        async with self._database.begin() as connection:
            await connection.execute(
                update(questions).where(_IS_OPEN, questions.c.id == request_id).values(**values)
            )
            return await _get(connection, questions.c.id == request_id)


async def _get(connection: AsyncConnection, where: ColumnElement[bool]) -> ChatRequest:
    row = (await connection.execute(select(questions).where(where))).one_or_none()
    if row is None:
        raise ChatNotFound("no such chat request")
    return to_request(row)


async def _give_late_files(
    connection: AsyncConnection, same: ColumnElement[bool], files: tuple[SharedFile, ...], ts: str
) -> None:
    """Adds files that arrived late: Slack sends two events for a mention, and the first may lack the files."""
    without_files = and_(_IS_OPEN, same, questions.c.files.is_(None))
    await connection.execute(
        update(questions).where(without_files).values(files=files_to_json(files), source=ts)
    )


async def _add_files(
    connection: AsyncConnection, request_id: str, files: tuple[SharedFile, ...]
) -> ChatRequest:
    """Adds the files that the request does not have. Locks the row, because two replies may arrive at the same
    moment.
    """
    same = questions.c.id == request_id
    await connection.execute(update(questions).where(same).values(state=questions.c.state))
    request = await _get(connection, same)
    known = {file.id for file in request.files}
    whole = request.files + tuple(file for file in files if file.id not in known)
    await connection.execute(
        update(questions).where(_IS_OPEN, same).values(files=files_to_json(whole))
    )
    return await _get(connection, same)
