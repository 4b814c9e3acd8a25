"""Continuations and branches of chats.

Each is stored when it is requested, and gets its thread in Slack afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningDelete

from bot.domain import DEFAULT_TITLE, Chat, Message, ModelRef, TitleBy
from bot.usage.calls import Payer, payer_of
from bot.usage.limits import NO_LIMITS, Limits
from storage.engine.database import Database
from storage.engine.types import database_time, new_id, utc_now
from storage.messages import StoredMessage
from storage.served_teams import Serves, every_team, in_turns
from storage.statements.branch_copy import copy_conversation
from storage.statements.messages import load_chat
from storage.statements.queries import dialect_insert
from storage.statements.quotes import ERASED_TEXT, lock_said, to_quoted
from storage.statements.rows import chat_row, to_chat
from storage.statements.spending import Spent, admit, settle
from storage.tables import chats, messages

_OLD = chats.alias("old")


@dataclass(frozen=True, slots=True)
class Successor:
    """A continuation or branch, and where it will be in Slack."""

    chat: Chat
    channel: str | None
    """None for an API chat."""


class Successors:
    """The repository of successors. Every method raises StorageError when the database fails."""

    def __init__(
        self, database: Database, limits: Limits = NO_LIMITS, serves: Serves = every_team
    ) -> None:
        """`limits`: what people may use. `serves`: the workspaces whose unfinished successors this process looks
        for.
        """
        self._database = database
        self._limits = limits
        self._is_served = serves(chats.c.team)

    async def create_continuation(self, old: Chat, owner: str, channel: str | None) -> Successor:
        """The chat that continues `old`, new or existing. `channel`: where it gets a thread, unless it has a place."""
        async with self._database.begin() as connection:
            new = _new_chat(old, owner, old.model, continues=old.id)
            successor, _ = await _create(connection, new, channel, chats.c.continues == old.id)
            return successor

    async def create_branch(
        self, old: Chat, question: Message, owner: str, model: ModelRef, channel: str | None
    ) -> Successor:
        """The chat that asks `model` the question, new or existing; see `create_continuation`. Raises BudgetReached."""
        same = and_(
            chats.c.branch_of == question.id,
            chats.c.provider == model.provider,
            chats.c.model == model.name,
        )
        async with self._database.begin() as connection:
            new = _new_chat(old, owner, model, branch_of=question.id)
            successor, created = await _create(connection, new, channel, same)
            if created:
                quoted = select(_OLD.c.quoted).where(_OLD.c.id == old.id)
                copied = update(chats).where(same).values(quoted=quoted.scalar_subquery())
                await connection.execute(copied)
                await admit(connection, self._limits, _payer(successor))
            return successor

    async def fill_branch(self, chat_id: str) -> StoredMessage | None:
        """Stores the conversation up to the question, and a waiting answer to it: see `copy_conversation`.

        If the question is gone, the branch is removed, as if it had never been requested. Raises ChatNotFound.
        """
        async with self._database.begin() as connection:
            asked = await copy_conversation(connection, chat_id)
            if asked is None:
                row = (await connection.execute(_unasked(chat_id))).one_or_none()
                if row is not None:  # nobody else has released what is held for it
                    await self._release(connection, Successor(to_chat(row), channel=None))
            return asked

    async def set_branch_thread(self, chat_id: str, ts: str) -> tuple[Chat, StoredMessage | None]:
        """Does `set_thread` and stores the conversation as `fill_branch` does, in one transaction; but a branch whose
        question is gone stays, since it is in Slack. Raises ChatNotFound.
        """
        async with self._database.begin() as connection:
            chat, opened = await _fill(
                connection, chat_id, chats.c.thread.is_(None), thread=ts, header_ts=ts
            )
            asked = await copy_conversation(connection, chat_id)
            if asked is None and opened and not chat.message_count:
                channel = chat.thread.channel if chat.thread else None
                await self._release(connection, Successor(chat, channel))
            return chat, asked

    async def _release(self, connection: AsyncConnection, branch: Successor) -> None:
        """Holds nothing any more of the budgets for the answer of a branch, because it gets none."""
        payer, at = _payer(branch), branch.chat.created_at
        nothing = Spent(0, 0.0, 0)
        await settle(connection, self._limits, payer, nothing, utc_now(), admitted_at=at)

    async def continuation_of(self, chat_id: str) -> Chat | None:
        """The chat that continues this one."""
        async with self._database.read() as connection:
            query = select(chats).where(chats.c.continues == chat_id)
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_chat(row)

    async def branches_of(self, chat_id: str, limit: int) -> list[Chat]:
        """The newest chats that ask other models one of this chat's questions, oldest first."""
        query = (
            select(chats)
            .join(messages, messages.c.id == chats.c.branch_of)
            .where(messages.c.chat_id == chat_id)
            .order_by(chats.c.created_at.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [to_chat(row) for row in reversed((await connection.execute(query)).all())]

    async def set_summary(
        self, chat_id: str, text: str, *, through: int = 0, people: int = 0
    ) -> Chat:
        """Stores what is known about the earlier chat, and whom it quotes, unless something is already stored.

        `people`: what `Summaries.people` returned for the earlier chat up to message `through`, before it was read for
        this. If somebody has been erased from it since, nothing is stored. Raises ChatNotFound.
        """
        unknown = chats.c.context.is_(None)
        async with self._database.begin() as connection:
            continued = select(chats.c.continues).where(chats.c.id == chat_id)
            old = await connection.scalar(continued) or ""
            said = await lock_said(connection, old)
            if said.count(through) < people:
                new, _ = await _fill(connection, chat_id, unknown, context=ERASED_TEXT)
            else:
                quoted = to_quoted(said.people())
                new, _ = await _fill(connection, chat_id, unknown, context=text, quoted=quoted)
            return new

    async def set_thread(self, chat_id: str, ts: str) -> Chat:
        """Stores the message that begins its thread and is its header, unless one is already stored.

        Raises ChatNotFound.
        """
        async with self._database.begin() as connection:
            homeless = chats.c.thread.is_(None)
            chat, _ = await _fill(connection, chat_id, homeless, thread=ts, header_ts=ts)
            return chat

    async def without_thread(self, older_than_seconds: float, limit: int) -> list[Successor]:
        """Successors older than this that should be in Slack but have no thread there: the workspaces in
        turns, oldest first.
        """
        query = (
            select(chats)
            .where(
                or_(chats.c.continues.is_not(None), chats.c.branch_of.is_not(None)),
                chats.c.channel.is_not(None),
                chats.c.thread.is_(None),
                self._is_served,
                chats.c.created_at <= database_time(-older_than_seconds),
            )
            .order_by(*in_turns(chats.c.team, chats.c.created_at))
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [Successor(to_chat(row), row.channel) for row in rows]

    async def give_up_thread(self, chat_id: str) -> None:
        """It cannot be posted in Slack, so it should no longer be there. A branch without messages is removed, as if it
        had never been requested.
        """
        homeless = chats.c.id == chat_id, chats.c.thread.is_(None)
        async with self._database.begin() as connection:
            row = (await connection.execute(_unasked(chat_id))).one_or_none()
            if row is not None:
                await self._release(connection, Successor(to_chat(row), row.channel))
            else:
                await connection.execute(update(chats).where(*homeless).values(channel=None))


def _unasked(chat_id: str) -> ReturningDelete[Any]:
    """Removes a branch that has neither messages nor a thread. It returns its row once, however many execute it."""
    return (
        delete(chats)
        .where(
            chats.c.id == chat_id,
            chats.c.thread.is_(None),
            chats.c.branch_of.is_not(None),
            chats.c.message_count == 0,
        )
        .returning(*chats.c)
    )


def _payer(successor: Successor) -> Payer:
    # Its thread, if it gets one, may not be there yet.
    return replace(payer_of(successor.chat, successor.chat.owner), channel=successor.channel)


def _new_chat(
    old: Chat,
    owner: str,
    model: ModelRef,
    *,
    continues: str | None = None,
    branch_of: str | None = None,
) -> Chat:
    now = utc_now()
    titled = branch_of is not None
    return Chat(
        id=new_id(),
        team=old.team,
        owner=owner,
        title=old.title if titled else DEFAULT_TITLE,
        title_by=old.title_by if titled else TitleBy.DEFAULT,
        model=model,
        message_count=0,
        created_at=now,
        updated_at=now,
        thread_context=old.thread_context if titled else None,
        continues=continues,
        branch_of=branch_of,
        instructions=old.instructions,
        options=old.options,
        origin_channel=old.thread.channel if old.thread else old.origin_channel,
        stop_shown=False,
    )


async def _create(
    connection: AsyncConnection, new: Chat, channel: str | None, same: ColumnElement[bool]
) -> tuple[Successor, bool]:
    """Stores the chat, unless the same one exists, which then gets the channel if it has none; returns whether it is
    new.
    """
    insert = dialect_insert(connection, chats)
    row = chat_row(new) | {"channel": channel}
    # Not by its `rowcount`, which PostgreSQL's driver does not know.
    inserted = insert.values(row).on_conflict_do_nothing().returning(chats.c.id)
    created = await connection.scalar(inserted) is not None
    if channel is not None:
        homeless = and_(same, chats.c.channel.is_(None))
        await connection.execute(update(chats).where(homeless).values(channel=channel))
    found = (await connection.execute(select(chats).where(same))).one()
    return Successor(to_chat(found), found.channel), created


async def _fill(
    connection: AsyncConnection, chat_id: str, where: ColumnElement[bool], **values: str | None
) -> tuple[Chat, bool]:
    """Sets the values if the condition holds; returns the chat, and whether it did. Raises ChatNotFound."""
    filling = update(chats).where(chats.c.id == chat_id, where).values(**values)
    filled = await connection.scalar(filling.returning(chats.c.id)) is not None
    return await load_chat(connection, chat_id), filled
